"""MergeGen: takes what verifies, names what does not, goes on while the quorum holds."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pydantic
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.merge_gen import core
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import Resolution, resolve_releases
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.release.checks import ReleaseLimits
from components.release.keys import ensure_key_pair
from components.release.manifest import PrivacyStatement, Versions
from components.release.storage import open_store
from components.secrets import SecretRef
from components.split_io import list_splits, read_records, write_split
from tests.support.releases import publish_release

DATASET = DatasetConfig(
    series=("device",),
    label="label",
    features=(FeatureConfig(name="x"), FeatureConfig(name="mode", kind="categorical")),
    targets=("x",),
    interval_s=60,
)
NAMES = ("eu-west", "eu-north", "us-east")


def table(rows: int = 12, seed: int = 0, drop=(), add=None) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {
        "timestamp": np.arange(rows, dtype=np.int64) * 60_000_000,
        "device": ["a"] * rows,
        "x": rng.normal(size=rows).astype(np.float32),
        "mode": ["on"] * rows,
        "label": np.zeros(rows, dtype=np.int64),
        **(add or {}),
    }
    return pa.table({name: column for name, column in columns.items() if name not in drop})


class Fleet:
    """An exchange with two restricted locales and an open one."""

    def __init__(self, root: Path):
        self.root = root
        self.store = open_store(str(root / "exchange"))
        for name in NAMES:
            ensure_key_pair(self.key_path(name))

    def key_path(self, name: str) -> Path:
        return self.root / "keys" / f"{name}.key"

    def push(self, name: str, span: int = 1, data: pa.Table | None = None, kind: str | None = None) -> Path:
        kind = kind or ("open" if name == "us-east" else "synthetic")
        inputs = self.root / f"{name}-{span}"
        shutil.rmtree(inputs, ignore_errors=True)
        for split in ("train",) if kind == "synthetic" else ("train", "eval", "holdout"):
            write_split(inputs / "examples", split, data if data is not None else table(seed=len(name)))
        (inputs / "blessing").mkdir()
        (inputs / "blessing" / "BLESSED").touch()
        config = PusherConfig(
            kind=kind, exchange_uri=self.store.uri, signing_key=SecretRef(file=str(self.key_path(name)))
        )
        report = push_region(
            config, name, span, RegionInputs(inputs / "examples", blessing=inputs / "blessing")
        )
        return Path(report["uri"])

    def publish(self, name: str, files, columns=None, rows=12, **change):
        known = {"timestamp": "int64", "device": "string", "x": "float32", "mode": "string"}
        fields = {
            "locale": name,
            "span": 1,
            "kind": "synthetic",
            "rows": {"train": rows},
            "columns": columns or known,
            "versions": Versions(isthmus="1", tfx="2", tensorflow="3"),
            "config_digest": "",
            "privacy": PrivacyStatement(sentences=("One.",)),
            "verdict": "BLESSED",
            "gates": {},
        }
        return publish_release(
            self.store, ensure_key_pair(self.key_path(name)), files, **{**fields, **change}
        )

    def config(self, **change) -> MergeGenConfig:
        locales = tuple(
            MergeLocale(
                name=name,
                sharing="open" if name == "us-east" else "restricted",
                trusted_key=f"{self.key_path(name)}.pub",
            )
            for name in NAMES
        )
        base = {"dataset": DATASET, "exchange_uri": self.store.uri, "locales": locales, "quorum": 1}
        return MergeGenConfig(**{**base, **change})

    def merge(self, **change):
        config = self.config(**change)
        resolution = resolve_releases(config)
        return merge_releases(config, resolution, self.root / "merged")

    def reason(self, **change) -> str:
        result = self.merge(**change)
        assert len(result.refused) == 1, result
        assert "\n" not in result.refused[0]["reason"]
        assert "Split-" + result.refused[0]["locale"] not in [
            path.name for path in (self.root / "merged").iterdir()
        ]
        return result.refused[0]["reason"]


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def rows_of(root: Path, split: str) -> int:
    return sum(map(len, read_records(root, split)))


def test_one_split_per_locale_the_files_byte_for_byte(fleet):
    folders = {name: fleet.push(name) for name in NAMES}
    result = fleet.merge(quorum=1.0)
    merged = fleet.root / "merged"
    assert list_splits(merged) == sorted(NAMES)
    assert [path.name for path in merged.iterdir() if path.name.startswith(".")] == []
    copies = sorted((merged / "Split-us-east").iterdir())
    assert [path.name for path in copies] == [f"data_tfrecord-0000{i}-of-00003.gz" for i in range(3)]
    source = folders["eu-west"] / "Split-train" / "data_tfrecord-00000-of-00001.gz"
    assert (merged / "Split-eu-west" / source.name).read_bytes() == source.read_bytes()
    assert {item.locale: item.rows for item in result.accepted} == {
        "eu-west": 12,
        "eu-north": 12,
        "us-east": 36,
    }
    assert rows_of(merged, "us-east") == 36
    report = result.to_json()
    assert report["verdict"] == "merged" and report["quorum"] == 3
    assert {"locale", "release_id", "span", "rows", "key_id", "digest", "uri"} <= set(report["accepted"][0])
    assert (report["refused"], report["missing"]) == ([], [])
    result.require_quorum()


def test_missing_and_refused_are_named_and_the_rest_is_merged(fleet):
    fleet.push("us-east")
    folder = fleet.push("eu-west")
    (folder / "Split-train" / "extra.gz").write_bytes(b"")
    result = fleet.merge(quorum=1)
    assert [item.locale for item in result.accepted] == ["us-east"]
    assert result.missing == ("eu-north",)
    assert "not in its manifest: Split-train/extra.gz" in result.refused[0]["reason"]
    result.require_quorum()
    with pytest.raises(
        DataError, match=r"1 releases verify, central\.quorum needs 2: eu-north has no release; eu-west ref"
    ):
        fleet.merge(quorum=2).require_quorum()


@pytest.mark.parametrize(
    ("quorum", "needed"), [(1, 1), (3, 3), (1.0, 3), (0.5, 2), (0.34, 2), (1 / 3, 1), (0.01, 1), (2 / 3, 2)]
)
def test_quorum_as_a_count_and_as_a_fraction(fleet, quorum, needed):
    config = fleet.config(quorum=quorum)
    assert config.quorum_count == needed
    assert MergeGenConfig.from_exec_property(config.to_exec_property()) == config
    assert type(MergeGenConfig.from_exec_property(config.to_exec_property()).quorum) is type(quorum)


def test_a_fraction_is_rounded_up_but_not_by_floating_point(fleet):
    first = fleet.config().locales[0]
    hundred = tuple(first.model_copy(update={"name": f"l{number}"}) for number in range(100))
    assert 0.07 * 100 > 7
    assert fleet.config(locales=hundred, quorum=0.07).quorum_count == 7
    assert fleet.config(locales=hundred, quorum=0.071).quorum_count == 8


@pytest.mark.parametrize("quorum", [0, -1, 4, 0.0, 1.5, True, "2"])
def test_a_quorum_that_cannot_be(fleet, quorum):
    with pytest.raises(pydantic.ValidationError):
        fleet.config(quorum=quorum)


def test_other_configurations_that_cannot_be(fleet):
    first = fleet.config().locales[0]
    with pytest.raises(pydantic.ValidationError, match=r"named twice .*: EU-west, eu-west"):
        fleet.config(locales=(first, first.model_copy(update={"name": "EU-west"})))
    with pytest.raises(pydantic.ValidationError, match="spans names no locale: mars"):
        fleet.config(spans={"mars": 1})
    for name in ("../eu", "a/b", "", ".x"):
        with pytest.raises(pydantic.ValidationError):
            MergeLocale(name=name, sharing="open", trusted_key="k")


def test_flipped_byte_in_a_file_that_is_not_merged_counts_too(fleet):
    fleet.push("us-east")
    fleet.push("eu-west")
    path = fleet.publish("eu-north", {"Split-train/a.gz": shard(fleet), "evaluation.json": b"{}"}).uri
    (Path(path) / "evaluation.json").write_bytes(b"[]")
    assert "evaluation.json: its SHA-256" in fleet.reason()


def shard(fleet, data: pa.Table | None = None) -> bytes:
    write_split(fleet.root / "loose", "train", data if data is not None else table(drop=("label",)))
    return next((fleet.root / "loose" / "Split-train").glob("*.gz")).read_bytes()


def test_flipped_byte_in_the_rows(fleet):
    folder = fleet.push("eu-west")
    path = next(folder.glob("Split-train/*.gz"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "SHA-256 is not the one" in fleet.reason()


def test_release_of_another_schema(fleet):
    fleet.push("eu-west", data=table(drop=("x",), add={"y": np.arange(12)}))
    assert "of another schema than this data set: lacks x; has y in addition." in fleet.reason()
    fleet.push("eu-west", span=2, data=table(add={"x": np.arange(12)}))
    assert "of another schema than this data set: x is int64 instead of float32." in fleet.reason()


def test_labels_may_be_absent_and_a_column_all_missing(fleet):
    fleet.push("eu-west", data=table(drop=("label",), add={"x": pa.array([None] * 12, pa.float32())}))
    assert [item.locale for item in fleet.merge().accepted] == ["eu-west"]


def test_columns_that_the_manifest_hides_are_found_in_the_rows(fleet):
    fleet.publish(
        "eu-west", {"Split-train/a.gz": shard(fleet, table(drop=("label",), add={"email": ["a"] * 12}))}
    )
    assert "has email in addition" in fleet.reason()


def test_columns_that_only_the_manifest_claims_are_refused_too(fleet):
    claimed = {"timestamp": "int64", "device": "string", "x": "float32", "mode": "string", "email": "string"}
    fleet.publish("eu-west", {"Split-train/a.gz": shard(fleet)}, columns=claimed)
    assert "has email in addition" in fleet.reason()


def test_row_count_that_is_not_the_manifest_s(fleet):
    fleet.publish("eu-west", {"Split-train/a.gz": shard(fleet)}, rows=13)
    assert "holds 12 rows, the manifest says 13" in fleet.reason()


def test_what_is_no_gzip_or_no_records(fleet):
    fleet.publish("eu-west", {"Split-train/a.gz": b"plain text"})
    assert "is no gzip file" in fleet.reason()
    fleet.publish("eu-west", {"Split-train/a.gz": gzip.compress(b"x" * 100)}, span=2)
    reason = fleet.reason()
    assert "its examples cannot be read" in reason and str(fleet.root / "merged") not in reason


def test_decompression_bombs(fleet):
    fleet.publish("eu-west", {"Split-train/a.gz": gzip.compress(bytes(40_000_000))})
    assert "refused as a decompression bomb" in fleet.reason()
    many = b"".join(gzip.compress(bytes(2_000_000)) for _ in range(20))
    fleet.publish("eu-west", {"Split-train/a.gz": many}, span=2)
    assert "refused as a decompression bomb" in fleet.reason()


def test_the_absolute_limit_on_decompressed_bytes(fleet):
    fleet.push("eu-west")
    assert "unpack to more than 10 (merge limits)" in fleet.reason(
        limits=ReleaseLimits(max_decompressed_bytes=10)
    )


def test_several_gzip_members_are_one_file(fleet):
    data = gzip.decompress(shard(fleet))
    # TFRecord framing: length (8 bytes), checksum (4), record, checksum (4)
    length = struct.unpack("<Q", data[:8])[0] + 16
    fleet.publish(
        "eu-west", {"Split-train/a.gz": gzip.compress(data[:length]) + gzip.compress(data[length:])}
    )
    assert fleet.merge().accepted[0].rows == 12


def test_real_rows_of_a_restricted_locale_are_refused(fleet):
    fleet.push("eu-west", kind="open")
    assert "is restricted, but this release says that it holds real rows" in fleet.reason()


def test_an_unreadable_public_key_refuses_that_locale_only(fleet):
    fleet.push("eu-west")
    fleet.push("us-east")
    Path(f"{fleet.key_path('eu-west')}.pub").unlink()
    result = fleet.merge()
    assert [item.locale for item in result.accepted] == ["us-east"]
    assert "cannot be verified: public key" in result.refused[0]["reason"]


def test_a_release_that_changes_after_it_was_resolved(fleet):
    folder = fleet.push("eu-west")
    config = fleet.config()
    resolution = resolve_releases(config)
    shutil.rmtree(folder)
    result = merge_releases(config, resolution, fleet.root / "merged")
    assert "no manifest.json" in result.refused[0]["reason"]
    stale = resolution.releases[0].model_copy(update={"manifest_sha256": "0" * 64})
    fleet.push("eu-west")
    result = merge_releases(config, Resolution(releases=(stale,)), fleet.root / "merged")
    assert "manifest changed since the run began" in result.refused[0]["reason"]


def test_a_release_that_cannot_be_read_is_refused_and_the_rest_goes_on(fleet, monkeypatch):
    fleet.push("eu-west")
    fleet.push("us-east")
    real = core.verify_release

    def unreachable(store, folder, *args, **kwargs):
        if folder.startswith("eu-west"):
            raise DataError("cannot read eu-west: connection reset")
        return real(store, folder, *args, **kwargs)

    monkeypatch.setattr(core, "verify_release", unreachable)
    result = fleet.merge()
    assert [item.locale for item in result.accepted] == ["us-east"]
    assert result.refused[0]["reason"] == "cannot read eu-west: connection reset"


def test_merging_again_over_what_a_killed_merge_left(fleet):
    fleet.push("eu-west")
    merged = fleet.root / "merged"
    for left in (merged / ".merging" / "Split-eu-west", merged / "Split-eu-west"):
        left.mkdir(parents=True)
        (left / "data_tfrecord-00000-of-00009.gz").write_bytes(b"half")
    assert fleet.merge().accepted[0].rows == 12
    assert rows_of(merged, "eu-west") == 12
    assert sorted(path.name for path in merged.iterdir()) == ["Split-eu-west"]


def test_data_digest_names_what_was_merged(fleet):
    fleet.push("eu-west")
    first = fleet.merge().data_digest
    assert fleet.merge().data_digest == first
    fleet.push("us-east")
    assert fleet.merge().data_digest != first


def test_resolution_sees_new_releases_and_new_keys(fleet):
    config = fleet.config()
    empty = resolve_releases(config)
    assert empty.missing == NAMES and empty.releases == ()
    fleet.push("eu-west", span=1)
    one = resolve_releases(config)
    assert resolve_releases(config).fingerprint == one.fingerprint
    fleet.push("eu-west", span=2)
    two = resolve_releases(config)
    assert two.releases[0].span == 2
    pinned = resolve_releases(fleet.config(spans={"eu-west": 1}))
    assert pinned.releases[0].span == 1
    Path(f"{fleet.key_path('us-east')}.pub").unlink()
    keyless = resolve_releases(config)
    assert len({item.fingerprint for item in (empty, one, two, keyless)}) == 4
    assert Resolution.from_exec_property(two.to_exec_property()) == two


def test_an_older_release_does_not_stand_in_for_one_that_is_refused(fleet):
    fleet.push("eu-west", span=1)
    folder = fleet.push("eu-west", span=2)
    next(folder.glob("Split-train/*.gz")).write_bytes(b"")
    result = fleet.merge()
    assert result.accepted == () and len(result.refused) == 1
