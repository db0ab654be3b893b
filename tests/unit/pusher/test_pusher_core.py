"""The region's Pusher: what leaves, what stays, and when nothing leaves."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pydantic
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.errors import ConfigError, DataError, InternalError
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, column_type, privacy_statement, push_region
from components.pusher.verdict import read_verdict
from components.release.keys import ensure_key_pair, load_public_key
from components.release.manifest import Approver
from components.release.privacy import PrivacyClaim, PrivacyStatement
from components.release.publish import Clearance
from components.release.storage import open_store
from components.release.verify import verify_release
from components.secrets import SecretRef
from components.split_io import write_split
from components.synthesizer_trainer.config import RareEventsConfig

CLAIM = PrivacyClaim(
    mechanism="DP-SGD",
    epsilon=2.5,
    delta=1e-6,
    unit="window",
    adjacency="add_or_remove_one",
    sampling="each window independently with probability 0.01 in each of 1,000 steps",
)


def table(rows: int = 20) -> pa.Table:
    values = np.linspace(-1, 1, rows, dtype=np.float32)
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64) * 60_000_000,
            "device": pa.array(["a"] * rows),
            "x": values,
            "never": pa.array([None] * rows, pa.float32()),
            "label": np.zeros(rows, dtype=np.int64),
        }
    )


def examples(root: Path, splits=("train",)) -> Path:
    for number, split in enumerate(splits):
        write_split(root / "examples", split, table(20 + number))
    return root / "examples"


def blessing(root: Path, verdict: str = "BLESSED") -> Path:
    folder = root / "blessing"
    folder.mkdir(parents=True)
    (folder / verdict).touch()
    (folder / "verdict.json").write_text(json.dumps({"verdict": verdict, "reasons": []}))
    return folder


def evaluation(root: Path, passed: bool = True) -> Path:
    folder = root / "evaluation"
    folder.mkdir(parents=True)
    gate = {"verdict": "BLESSED", "checks": [{"metric": "dcr_share_rows", "passed": passed}]}
    content = {
        "metrics": [{"name": "dcr_share_rows", "value": 1.0, "reason": "row 3 of lovelace"}],
        "gate": gate,
    }
    (folder / "evaluation.json").write_text(json.dumps(content))
    (folder / "plots.json").write_text('{"real": [1, 2, 3]}')
    return folder


def statistics(root: Path, rows: dict[str, int]) -> Path:
    for split, count in rows.items():
        folder = root / "statistics" / f"Split-{split}"
        folder.mkdir(parents=True)
        found = statistics_pb2.DatasetFeatureStatisticsList()
        found.datasets.add(num_examples=count)
        (folder / "FeatureStats.pb").write_bytes(found.SerializeToString())
    return root / "statistics"


def schema(root: Path) -> Path:
    (root / "schema").mkdir()
    (root / "schema" / "schema.pbtxt").write_text(
        'feature { name: "x" type: FLOAT float_domain { min: 3.25 } }'
    )
    return root / "schema"


def key_file(path: Path) -> SecretRef:
    """A locale's key, made as a person makes it."""
    ensure_key_pair(path)
    return SecretRef(file=str(path))


def config(root: Path, kind: str = "synthetic", **change) -> PusherConfig:
    base = {
        "kind": kind,
        "exchange_uri": str(root / "exchange"),
        "signing_key": key_file(root / "keys" / "eu.key"),
    }
    return PusherConfig(**{**base, **change})


def push(root: Path, kind: str = "synthetic", inputs: RegionInputs | None = None, **change):
    inputs = inputs or RegionInputs(examples(root), blessing=blessing(root))
    return push_region(config(root, kind, **change), "eu-west", 1, inputs)


def nothing_left(root: Path) -> bool:
    return not any((root / "exchange").rglob("*")) if (root / "exchange").exists() else True


def test_a_full_synthetic_release_verifies_and_holds_only_what_may_leave(tmp_path):
    inputs = RegionInputs(
        examples(tmp_path),
        schema(tmp_path),
        statistics(tmp_path, {"train": 20}),
        evaluation(tmp_path),
        blessing(tmp_path),
    )
    report = push(tmp_path, inputs=inputs)
    assert report["pushed"] and report["outcome"] == "published"
    assert (report["rows"], report["rows_per_split"]) == (20, {"train": 20})
    store = open_store(report["uri"])
    key = load_public_key(str(tmp_path / "keys" / "eu.key.pub"))
    manifest = verify_release(store, "", {"eu-west": [key]}).manifest
    assert sorted(manifest.files) == [
        "Split-train/data_tfrecord-00000-of-00001.gz",
        "evaluation.json",
        "schema.pbtxt",
        "statistics/FeatureStats.pb",
    ]
    assert manifest.columns == {
        "timestamp": "int64",
        "device": "string",
        "x": "float32",
        "never": "null",
        "label": "int64",
    }
    assert (manifest.kind, manifest.verdict, manifest.gates) == (
        "synthetic",
        "BLESSED",
        {"dcr_share_rows": "passed"},
    )
    everything = b"".join(path.read_bytes() for path in Path(report["uri"]).rglob("*") if path.is_file())
    for secret in (b"lovelace", b"3.25", b'"real"'):
        assert secret not in everything


def test_the_statistics_name_their_split(tmp_path):
    inputs = RegionInputs(
        examples(tmp_path, ("train", "eval")), statistics=statistics(tmp_path, {"train": 21, "eval": 20})
    )
    with pytest.raises(
        DataError, match="split=eval: the statistics are of 20 rows, the released examples of 21"
    ):
        push(tmp_path, "open", inputs)
    for split, count in (("train", 20), ("eval", 21)):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        found.datasets.add(num_examples=count)
        (tmp_path / "statistics" / f"Split-{split}" / "FeatureStats.pb").write_bytes(
            found.SerializeToString()
        )
    report = push(tmp_path, "open", inputs)
    merged = statistics_pb2.DatasetFeatureStatisticsList.FromString(
        (Path(report["uri"]) / "statistics" / "FeatureStats.pb").read_bytes()
    )
    assert sorted((item.name, item.num_examples) for item in merged.datasets) == [("eval", 21), ("train", 20)]


def test_statistics_that_are_not_there(tmp_path):
    inputs = RegionInputs(examples(tmp_path), statistics=tmp_path / "none", blessing=blessing(tmp_path))
    with pytest.raises(DataError, match="split=train: statistics cannot be read"):
        push(tmp_path, inputs=inputs)


def test_an_open_locale_releases_all_its_splits_and_its_schema_as_it_is(tmp_path):
    inputs = RegionInputs(examples(tmp_path, ("train", "eval", "holdout")), schema(tmp_path))
    report = push(tmp_path, "open", inputs)
    assert report["rows_per_split"] == {"train": 20, "eval": 21, "holdout": 22}
    assert report["reason"] == "the verdict is schema-validated"
    assert "3.25" in (Path(report["uri"]) / "schema.pbtxt").read_text()


@pytest.mark.parametrize("options", [{"kind": "open"}, {}, {"privacy": CLAIM}])
def test_what_was_pushed_says_of_privacy_what_was_signed(tmp_path, options):
    report = push(tmp_path, **options)
    manifest = json.loads((Path(report["uri"]) / "manifest.json").read_text())
    assert report["privacy"] == manifest["privacy"] and report["privacy"]["sentences"]


def test_the_same_rows_have_the_same_id_and_are_pushed_once(tmp_path):
    first = push(tmp_path / "a")
    again = push(
        tmp_path / "a", inputs=RegionInputs(tmp_path / "a" / "examples", blessing=tmp_path / "a" / "blessing")
    )
    other_root = push(tmp_path / "b")
    assert again["outcome"] == "already published"
    assert first["release_id"] == again["release_id"] == other_root["release_id"]
    assert first["key_id"] != other_root["key_id"]


@pytest.mark.parametrize("verdict", ["NOT_BLESSED", "NOT_EVALUATED"])
@pytest.mark.parametrize("kind", ["synthetic", "open"])
def test_nothing_is_pushed_without_blessed(tmp_path, verdict, kind):
    report = push(tmp_path, kind, RegionInputs(examples(tmp_path), blessing=blessing(tmp_path, verdict)))
    assert not report["pushed"]
    assert report["reason"] == f"the verdict is {verdict}; only BLESSED is pushed"
    assert (report["uri"], report["rows"], report["files"]) == ("", 0, {})
    assert nothing_left(tmp_path)


def test_synthetic_rows_without_a_blessing_stay(tmp_path):
    report = push(tmp_path, inputs=RegionInputs(examples(tmp_path)))
    assert not report["pushed"] and "there is no blessing" in report["reason"]
    assert nothing_left(tmp_path)


def test_a_failed_gate_outweighs_the_blessing(tmp_path):
    inputs = RegionInputs(
        examples(tmp_path), evaluation=evaluation(tmp_path, passed=False), blessing=blessing(tmp_path)
    )
    report = push(tmp_path, inputs=inputs)
    assert report["reason"] == "BLESSED in spite of failed gates: dcr_share_rows"
    assert nothing_left(tmp_path)


def test_real_rows_wired_to_a_restricted_pusher_are_refused(tmp_path):
    inputs = RegionInputs(examples(tmp_path, ("train", "eval", "holdout")), blessing=blessing(tmp_path))
    with pytest.raises(DataError, match="splits eval, holdout, train; synthetic ones have only 'train'"):
        push(tmp_path, inputs=inputs)
    assert nothing_left(tmp_path)


def test_nothing_to_release(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no examples to release"):
        push(tmp_path, "open", RegionInputs(tmp_path / "none"))
    write_split(tmp_path / "empty", "train", table(0))
    with pytest.raises(DataError, match="hold no row"):
        push(tmp_path, "open", RegionInputs(tmp_path / "empty"))


def test_a_column_of_two_types(tmp_path):
    write_split(tmp_path / "e", "eval", pa.table({"timestamp": [1, 2], "x": ["a", "b"]}))
    write_split(tmp_path / "e", "train", pa.table({"timestamp": [1, 2], "x": [1, 2]}))
    with pytest.raises(DataError, match="column 'x' is int64, in other splits string"):
        push(tmp_path, "open", RegionInputs(tmp_path / "e"))


def test_an_evaluation_that_does_not_parse_stops_the_push(tmp_path):
    folder = evaluation(tmp_path)
    (folder / "evaluation.json").write_text("{")
    with pytest.raises(InternalError, match=r"evaluation\.json does not parse"):
        push(
            tmp_path, inputs=RegionInputs(examples(tmp_path), evaluation=folder, blessing=blessing(tmp_path))
        )
    assert nothing_left(tmp_path)


def test_a_push_makes_no_key(tmp_path):
    absent = SecretRef(file=str(tmp_path / "none" / "eu.key"))
    with pytest.raises(ConfigError, match="cannot be read"):
        push(tmp_path, signing_key=absent)
    assert not (tmp_path / "none").exists()


def test_config_round_trip(tmp_path):
    written = config(tmp_path, config_digest="a" * 64)
    assert PusherConfig.from_exec_property(written.to_exec_property()) == written


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, "no kind of anomaly with fewer than 10 real windows is in these rows"),
        ({"below": "merge", "min_windows": 4}, "fewer than 4 real windows is called 'other'"),
        ({"below": "dp"}, "if its noisy count stands out"),
        ({"min_windows": 1}, "however few real windows of it there are"),
        ({"min_windows": 1, "below": "merge"}, "however few real windows of it there are"),
    ],
)
def test_the_statement_says_what_became_of_rare_kinds(tmp_path, policy, said):
    """The policy, which is public; nothing that was met."""
    found = privacy_statement(config(tmp_path, rare_events=RareEventsConfig(**policy)), "eu-west", 1)
    (sentence,) = [text for text in found.sentences if text.startswith("Rare events:")]
    assert said in sentence
    for quiet in (config(tmp_path), config(tmp_path, "open", rare_events=RareEventsConfig())):
        sentences = privacy_statement(quiet, "eu-west", 1).sentences
        assert not any(text.startswith("Rare events:") for text in sentences)


def test_a_private_model_counts_no_real_window_whatever_the_minimum(tmp_path):
    policy = RareEventsConfig(min_windows=1)
    found = privacy_statement(config(tmp_path, privacy=CLAIM, rare_events=policy), "eu-west", 1)
    assert any("if its noisy count stands out" in text for text in found.sentences)


def test_privacy_statements(tmp_path):
    synthetic = privacy_statement(config(tmp_path), "eu-west", 1)
    assert synthetic.mechanism == "none: no differential privacy" and synthetic.epsilon is None
    assert any(text.startswith("Covered:") for text in synthetic.sentences)
    assert any(text.startswith("Not covered:") for text in synthetic.sentences)
    assert "themselves" in privacy_statement(config(tmp_path, "open"), "eu-west", 1).sentences[0]


def test_the_statement_of_a_private_mechanism_says_everything_that_bounds_it(tmp_path):
    statement = privacy_statement(config(tmp_path, privacy=CLAIM), "eu-west", 1)
    assert (statement.mechanism, statement.epsilon, statement.unit) == ("DP-SGD", 2.5, "window")
    text = " ".join(statement.sentences)
    for part in (
        "DP-SGD, with epsilon 2.5 and delta 1e-06 (both dimensionless) per window",
        "one of them is the other with one window of rows added or removed",
        "Sampling: each window independently with probability 0.01",
        "by at most a factor exp(2.5), except with probability 1e-06",
        "Not covered: several units of one person together",
    ):
        assert part in text
    with pytest.raises(pydantic.ValidationError, match="privacy is about synthetic rows"):
        config(tmp_path, "open", privacy=CLAIM)
    for wrong in ({"epsilon": 1.0}, {"mechanism": "DP-SGD"}, {"mechanism": "DP-SGD", "epsilon": 1.0}):
        with pytest.raises(pydantic.ValidationError, match="epsilon, delta, unit, adjacency"):
            PrivacyStatement(sentences=("One.",), **wrong)
    with pytest.raises(pydantic.ValidationError, match="needs a mechanism"):
        PrivacyClaim(**{**CLAIM.model_dump(), "mechanism": "none"})


class Clerk:
    """A `BeforePublish` that notes what it was asked and how it ended."""

    def __init__(self, clearance=None):
        self.clearance, self.log = clearance or Clearance(), []

    @contextlib.contextmanager
    def __call__(self, draft):
        self.log.append(("asked", draft.manifest.release_id))
        try:
            yield self.clearance
        except BaseException as error:
            self.log.append(("failed", type(error).__name__))
            raise
        self.log.append(("left", draft.manifest.release_id))


def cleared(root, clerk, **change):
    inputs = RegionInputs(examples(root), blessing=root / "blessing")
    return push_region(config(root, **change), "eu-west", 1, inputs, clerk)


def test_whoever_clears_a_release_is_asked_before_anything_is_written(tmp_path):
    blessing(tmp_path)
    refusing = Clerk(Clearance(refusal="the budget of eu-west is spent"))
    report = cleared(tmp_path, refusing)
    assert (report["pushed"], report["reason"]) == (False, "the budget of eu-west is spent")
    assert nothing_left(tmp_path)
    approver = Approver(name="Ada", decided_at="2026-01-01T00:00:00Z", decision_digest="a" * 64)
    clerk = Clerk(Clearance(approver=approver))
    report = cleared(tmp_path, clerk)
    assert report["pushed"] and clerk.log == [("asked", report["release_id"]), ("left", report["release_id"])]
    store = open_store(report["uri"])
    key = load_public_key(str(tmp_path / "keys" / "eu.key.pub"))
    assert verify_release(store, "", {"eu-west": [key]}).manifest.approver == approver


def test_whoever_clears_a_release_learns_that_it_failed(tmp_path):
    blessing(tmp_path)
    (tmp_path / "exchange").write_text("no folder")
    clerk = Clerk()
    with pytest.raises(DataError):
        cleared(tmp_path, clerk)
    assert [event for event, _ in clerk.log] == ["asked", "failed"]


def test_column_types():
    kinds = [pa.int64(), pa.float32(), pa.string(), pa.large_binary(), pa.null()]
    assert [column_type(kind) for kind in kinds] == ["int64", "float32", "string", "string", "null"]


def test_every_doubt_about_a_blessing_is_a_no(tmp_path):
    assert read_verdict(None) == ("NOT_EVALUATED", "there is no blessing")
    folder = tmp_path / "b"
    folder.mkdir()
    assert read_verdict(folder) == ("NOT_EVALUATED", "the blessing holds 0 verdicts, expected exactly 1")
    (folder / "BLESSED").touch()
    assert read_verdict(folder)[0] == "BLESSED"
    (folder / "verdict.json").write_text('{"verdict": "NOT_BLESSED"}')
    assert read_verdict(folder) == (
        "NOT_EVALUATED",
        "the blessing is BLESSED, but verdict.json says otherwise",
    )
    for broken in ("{", "[]", "{}"):
        (folder / "verdict.json").write_text(broken)
        assert read_verdict(folder) == ("NOT_EVALUATED", "verdict.json does not parse")
    (folder / "NOT_BLESSED").touch()
    assert read_verdict(folder)[1] == "the blessing holds 2 verdicts, expected exactly 1"
