"""Attacks on the exchange, each through a whole merge: one clear line, and the others are merged.

The attacker can write anything into the exchange. In some attacks the attacker also holds the
locale's own key (a region that is compromised): what it signs must still not harm the centre.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config_base import canonical_json
from components.dataset import DatasetConfig, FeatureConfig
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import resolve_releases
from components.merge_gen.result import MergeResult
from components.release.checks import ReleaseLimits
from components.release.keys import new_private_key
from components.release.manifest import (
    FileEntry,
    Manifest,
    PrivacyStatement,
    Versions,
    build_manifest,
)
from components.release.revocation import Revocation
from components.release.revoke import revoke_release
from components.release.storage import file_entry, open_store
from components.split_io import write_split
from components.tfrecord import record_header
from tests.support.releases import publish_release

DATASET = DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60)
KEYS = {name: new_private_key() for name in ("eu-west", "us-east")}
COLUMNS = {"timestamp": "int64", "x": "float32"}
NEXT_KEY = new_private_key()


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[bytes]:
    """Three shards of three rows, all of one size, with different values."""
    by_size: dict[int, list[bytes]] = {}
    root = tmp_path_factory.mktemp("shards")
    for number in range(1, 60):
        values = pa.array(np.full(3, number * 1.37, dtype=np.float32))
        write_split(root / str(number), "train", pa.table({"timestamp": [1, 2, 3], "x": values}))
        data = next((root / str(number)).rglob("*.gz")).read_bytes()
        alike = by_size.setdefault(len(data), [])
        alike.append(data)
        if len(alike) == 3:
            return alike
    raise AssertionError("no three shards of one size")


class Border:
    """An exchange with a restricted locale, eu-west, which is attacked, and another, us-east."""

    def __init__(self, root: Path, shards: list[bytes]) -> None:
        self.root, self.shards = root, shards
        self.store = open_store(str(root / "exchange"))
        self.trusted: dict[str, object] = {name: key.public.to_text() for name, key in KEYS.items()}
        self.release("us-east")

    def fields(self, locale: str, **change) -> dict:
        base = {
            "locale": locale,
            "span": 1,
            "kind": "synthetic",
            "rows": {"train": 3},
            "columns": COLUMNS,
            "versions": Versions(isthmus="1", tfx="2", tensorflow="3"),
            "config_digest": "",
            "privacy": PrivacyStatement(sentences=("One.",)),
            "verdict": "BLESSED",
            "gates": {"dcr": "passed"},
        }
        return {**base, **change}

    def release(self, locale="eu-west", files=None, key=None, shard=0, **change) -> Path:
        files = files or {"Split-train/a.gz": self.shards[shard], "evaluation.json": b"{}"}
        done = publish_release(self.store, key or KEYS[locale], files, **self.fields(locale, **change))
        return Path(done.uri)

    def forge(self, entries: dict[str, FileEntry], **change) -> Path:
        """A manifest that the locale's own key signed over whatever it likes; the files are not there."""
        draft = build_manifest(files=entries, **self.fields("eu-west", **change))
        return self.place(KEYS["eu-west"].sign(draft))

    def place(self, manifest: Manifest, raw: bytes | None = None) -> Path:
        folder = (
            self.root / f"exchange/eu-west/span-{manifest.span}/{manifest.sequence}-{manifest.release_id}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_bytes(manifest.to_bytes() if raw is None else raw)
        return folder

    def config(self, **change) -> MergeGenConfig:
        locales = tuple(
            MergeLocale(name=name, sharing="restricted", trusted_key=trusted)
            for name, trusted in self.trusted.items()
        )
        base = {
            "dataset": DATASET,
            "exchange_uri": str(self.root / "exchange"),
            "locales": locales,
            "quorum": 1,
            "memory_uri": str(self.root / "centre"),
            # Small, so that the bombs of these tests may be small too.
            "limits": ReleaseLimits(max_manifest_bytes=100_000, max_side_file_bytes=1000),
        }
        return MergeGenConfig(**{**base, **change})

    def merge(self, **change) -> MergeResult:
        config = self.config(**change)
        return merge_releases(config, resolve_releases(config), self.root / "merged")


@pytest.fixture
def border(tmp_path, shards):
    return Border(tmp_path, shards)


def names(result: MergeResult) -> list[str]:
    return [item.locale for item in result.accepted]


ATTACKS: dict[str, tuple[Callable[[Border], object], str]] = {}


def attack(expected: str):
    def register(function):
        ATTACKS[function.__name__] = (function, expected)
        return function

    return register


def edit(folder: Path, change: Callable[[dict], None], sign: bool = True) -> None:
    """Edits a manifest in place; `sign` by the locale's own key, and with digests that fit."""
    fields = json.loads((folder / "manifest.json").read_bytes())
    change(fields)
    if sign:
        unsigned = {name: value for name, value in fields.items() if name != "signature"}
        data = Manifest.signing_context + canonical_json(unsigned).encode()
        key = KEYS["eu-west"]
        fields["signature"] = {
            "algorithm": "ed25519",
            "key_id": key.public.key_id,
            "value": key.sign_bytes(data),
        }
    (folder / "manifest.json").write_text(json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n")


@attack(r"Split-train/a\.gz: its SHA-256 is not the one in the manifest; the file was altered")
def one_flipped_byte_in_the_rows(border):
    path = border.release() / "Split-train/a.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@attack(r"evaluation\.json: its SHA-256 is not the one in the manifest")
def one_flipped_byte_in_a_file_that_is_not_merged(border):
    (border.release() / "evaluation.json").write_bytes(b"[]")


@attack(r"its SHA-256 is not the one in the manifest")
def two_files_swapped(border):
    files = {"Split-train/a.gz": border.shards[0], "Split-train/b.gz": border.shards[1]}
    folder = border.release(files=files, rows={"train": 6})
    (folder / "Split-train/a.gz").write_bytes(border.shards[1])
    (folder / "Split-train/b.gz").write_bytes(border.shards[0])


@attack(r"the manifest is that of eu-west/span-1/1-.*moved, copied or replayed")
def a_stale_manifest_over_newer_files(border):
    old, new = border.release(), border.release(shard=1)
    shutil.copy(old / "manifest.json", new / "manifest.json")


@attack(r"SHA-256 is not the one in the manifest")
def newer_files_under_an_older_manifest(border):
    folder = border.release()
    (folder / "Split-train/a.gz").write_bytes(border.shards[1])


@attack(r"the manifest is that of eu-west/span-1/1-[0-9a-f]{12}; a release was moved, copied or replayed")
def an_older_release_uploaded_again_as_the_newest(border):
    old = border.release()
    border.release(shard=1)
    shutil.copytree(old, old.with_name(old.name.replace("1-", "3-", 1)))


@attack(r"the manifest is that of eu-west/span-1/1-[0-9a-f]{12}; a release was moved, copied or replayed")
def an_older_release_uploaded_again_under_another_span(border):
    old = border.release()
    shutil.copytree(old, old.parents[1] / "span-2" / old.name)


@attack(r"the manifest is that of us-east/span-1/.*moved, copied or replayed")
def another_locales_release_with_its_own_valid_signature(border):
    other = next((border.root / "exchange/us-east/span-1").iterdir())
    shutil.copytree(other, border.root / "exchange/eu-west/span-1" / other.name)


@attack(r"this centre has merged span 1 sequence 2 \([0-9a-f]{12}\) of locale eu-west before; .*set back")
def an_exchange_set_back_to_an_earlier_state(border):
    border.release()
    newest = border.release(shard=1)
    assert names(border.merge()) == ["eu-west", "us-east"]
    shutil.rmtree(newest)


@attack(r"this centre has merged span 2 sequence 1 .* before; the exchange was set back")
def an_exchange_set_back_to_an_earlier_span(border):
    border.release()
    newest = border.release(span=2)
    border.merge()
    shutil.rmtree(newest.parent)


@attack(r"signed with the key of locale us-east \([0-9a-f]{16}\); trusted for locale eu-west")
def signature_by_another_locales_key(border):
    border.release(key=KEYS["us-east"])


@attack(r"signed with an unknown key \([0-9a-f]{16}\)")
def unknown_key_id(border):
    border.release(key=new_private_key())


@attack(r"the signature by key [0-9a-f]{16} does not fit the manifest; it was altered")
def a_trusted_key_id_over_another_keys_signature(border):
    folder = border.release(key=new_private_key())

    def claim(fields):
        fields["signature"]["key_id"] = KEYS["eu-west"].public.key_id

    edit(folder, claim, sign=False)


@attack(r"not signed\. Have locale eu-west release again")
def no_signature(border):
    edit(border.release(), lambda fields: fields.update(signature=None), sign=False)


@attack(r"signed with key [0-9a-f]{16}, which is trusted only until 2020-01-01T00:00:00Z")
def a_key_whose_time_is_over(border):
    border.trusted["eu-west"] = [
        {"key": KEYS["eu-west"].public.to_text(), "not_after": "2020-01-01T00:00:00Z"},
        NEXT_KEY.public.to_text(),
    ]
    border.release()


@attack(r"signed with key [0-9a-f]{16}, which is trusted only from 2999-01-01T00:00:00Z on")
def a_key_whose_time_has_not_come(border):
    border.trusted["eu-west"] = {"key": KEYS["eu-west"].public.to_text(), "not_before": "2999-01-01"}
    border.release()


@attack(r"manifest is larger than 100000 bytes; refused unread")
def an_oversized_manifest(border):
    (border.release() / "manifest.json").write_bytes(b'{"format":"' + b"x" * 200_000 + b'"}\n')


@attack(r"manifest is nested 20000 deep, allowed 8; refused unread")
def a_deeply_nested_manifest(border):
    (border.release() / "manifest.json").write_bytes(b"[" * 20_000 + b"]" * 20_000)


@attack(r"not a release manifest \(top level: unknown field note\)")
def a_signed_manifest_with_an_unknown_field(border):
    edit(border.release(), lambda fields: fields.update(note="x"))


@attack(r"not a release manifest \(span: is not of type integer\)")
def a_signed_manifest_with_a_wrong_type(border):
    edit(border.release(), lambda fields: fields.update(span="1"))


@attack(r"manifest holds NaN, which is not JSON")
def a_manifest_with_a_nan(border):
    path = border.release() / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"epsilon":null', b'"epsilon":NaN'))


@attack(r"manifest gives the key 'span' twice")
def a_manifest_with_a_key_twice(border):
    path = border.release() / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"span":1', b'"span":1,"span":1'))


def climbing(name: str):
    def function(border):
        (border.root / "outside").write_bytes(border.shards[0])
        border.forge({name: file_entry(border.shards[0]), "Split-train/a.gz": file_entry(b"x")})

    return function


for label, name in {
    "up": "../../../../outside",
    "up_inside_a_split": "Split-train/../../../../../outside",
    "up_to_another_release": "Split-train/../../1-000000000000/a.gz",
    "absolute": "/etc/passwd",
    "backslash": "Split-train\\..\\..\\outside",
    "drive": "C:\\outside.gz",
    "drive_with_slash": "C:/outside.gz",
    "url": "file:///etc/passwd",
    "home": "~/outside.gz",
    "null_byte": "Split-train/a.gz\x00.gz",
    "current": "./Split-train/a.gz",
    "hidden": "Split-train/.hidden.gz",
}.items():
    ATTACKS[f"a_path_that_climbs_out_{label}"] = (climbing(name), "lists files that no release may hold")


@attack(r"symlink, empty folder or special file: Split-train/a\.gz")
def a_file_that_is_a_symlink(border):
    path = border.release() / "Split-train/a.gz"
    shutil.move(path, border.root / "elsewhere.gz")
    path.symlink_to(border.root / "elsewhere.gz")


@attack(r"[0-9a-f]{12} is a symlink; releases are plain folders")
def a_release_folder_that_is_a_symlink(border):
    folder = border.release()
    shutil.move(folder, border.root / "elsewhere")
    folder.symlink_to(border.root / "elsewhere")


@attack(r"manifest\.json is no plain file")
def a_manifest_that_is_a_symlink(border):
    path = border.release() / "manifest.json"
    shutil.move(path, border.root / "elsewhere.json")
    path.symlink_to(border.root / "elsewhere.json")


@attack(r"special file: Split-train/pipe\.gz")
def a_named_pipe(border):
    os.mkfifo(border.release() / "Split-train/pipe.gz")


@attack(r"refused as a decompression bomb")
def a_gzip_bomb(border):
    border.release(files={"Split-train/a.gz": gzip.compress(bytes(8_000_000))})


@attack(r"refused as a decompression bomb")
def a_gzip_bomb_of_many_members(border):
    member = gzip.compress(bytes(500_000))
    border.release(files={"Split-train/a.gz": member * 16})


@attack(r"Split-train/a\.gz: is no gzip file, or a corrupt one")
def a_parquet_bomb_under_a_gzip_name(border):
    border.release(files={"Split-train/a.gz": parquet_bomb(border.root)})


@attack(r"lists files that no release may hold: Split-train/a\.parquet")
def a_parquet_bomb(border):
    entry = file_entry(parquet_bomb(border.root))
    border.forge({"Split-train/a.parquet": entry, "Split-train/a.gz": entry})


def parquet_bomb(root: Path) -> bytes:
    pq.write_table(pa.table({"x": np.zeros(1_000_000)}), root / "bomb.parquet", compression="gzip")
    data = (root / "bomb.parquet").read_bytes()
    assert len(data) < 50_000  # 8 MB of zeros
    return data


@attack(r"its examples cannot be read: .*a record of 1152921504606846976 bytes, allowed")
def a_record_that_claims_to_be_huge(border):
    border.release(files={"Split-train/a.gz": gzip.compress(record_header(2**60) + bytes(1000))})


@attack(r"evaluation\.json is larger than 1000 bytes")
def a_large_file_beside_the_rows(border):
    border.release(files={"Split-train/a.gz": border.shards[0], "evaluation.json": bytes(2000)})


@attack(r"holds 3 rows, the manifest says 1000000")
def more_rows_claimed_than_there_are(border):
    border.release(rows={"train": 1_000_000})


@attack(r"locale eu-west is restricted, but this release says that it holds real rows")
def real_rows_of_a_restricted_locale(border):
    border.release(kind="open", verdict="schema-validated")


@attack(r"synthetic rows with verdict schema-validated, allowed: BLESSED")
def rows_that_no_gate_has_seen(border):
    border.release(verdict="schema-validated")


@attack(r"EU-WEST: differs from locale eu-west in case; refused")
def a_release_under_a_locale_name_in_another_case(border):
    border.release()
    (border.root / "exchange/eu-west").rename(border.root / "exchange/EU-WEST")


@attack(
    r"the manifest is that of EU-west/span-1/.*moved, copied or replayed|trusted for locale EU-west: none"
)
def a_manifest_with_the_locale_in_another_case(border):
    draft = build_manifest(files={"Split-train/a.gz": file_entry(b"x")}, **border.fields("EU-west"))
    border.place(KEYS["eu-west"].sign(draft))


@attack(r"revoked at 20.* by key [0-9a-f]{16} of locale eu-west: a row was real")
def a_revoked_release(border):
    revoke_release(open_store(str(border.release())), KEYS["eu-west"], "a row was real")


@attack(r"revoked at 20.*: a row was real")
def revoked_content_under_the_next_sequence(border):
    """The locale has changed its key, so its Pusher no longer recognises the old key's revocation."""
    border.trusted["eu-west"] = [KEYS["eu-west"].public.to_text(), NEXT_KEY.public.to_text()]
    revoke_release(open_store(str(border.release())), KEYS["eu-west"], "a row was real")
    assert border.release(key=NEXT_KEY).name.startswith("2-")


@attack(r"was revoked at 20.* by key [0-9a-f]{16} \(a row was real\); refused")
def a_revocation_taken_away_after_a_merge_has_seen_it(border):
    revoke_release(open_store(str(border.release())), KEYS["eu-west"], "a row was real")
    assert names(border.merge()) == ["us-east"]
    next((border.root / "exchange/eu-west/span-1").glob("*.revoked-*")).unlink()


@attack(r"trusted_key|cannot be verified: public key")
def a_public_key_that_cannot_be_read(border):
    border.release()
    border.trusted["eu-west"] = str(border.root / "nowhere.pub")


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_the_merge_refuses_with_one_line_and_goes_on(border, name):
    make, expected = ATTACKS[name]
    make(border)
    result = border.merge()
    assert names(result) == ["us-east"] and result.verdict == "merged"
    (refused,) = result.refused
    assert refused["locale"] == "eu-west"
    line = refused["reason"]
    assert "\n" not in line and line.isprintable() and len(line) < 600
    assert re.search(expected, line), line
    assert sorted(os.listdir(border.root / "merged")) == ["Split-us-east"]
    # Where every locale is needed, the same attack stops the merge and is named.
    assert border.merge(quorum=2).verdict == "quorum not met"


def test_the_same_releases_unharmed_are_merged(border):
    """The attacks above prove something only if what they attack is accepted."""
    border.release()
    result = border.merge()
    assert (names(result), result.refused, result.warnings) == (["eu-west", "us-east"], (), ())


def test_two_keys_are_trusted_while_a_locale_changes_its_key(border):
    border.trusted["eu-west"] = [
        {"key": KEYS["eu-west"].public.to_text(), "not_after": "2999-01-01T00:00:00Z"},
        NEXT_KEY.public.to_text(),
    ]
    border.release()
    assert names(border.merge()) == ["eu-west", "us-east"]
    border.release(key=NEXT_KEY, shard=1)
    result = border.merge()
    assert [item.sequence for item in result.accepted] == [2, 1]
    assert result.accepted[0].key_id == NEXT_KEY.public.key_id


def test_the_end_of_a_keys_time_is_seen_by_the_cache(border):
    border.trusted["eu-west"] = {"key": KEYS["eu-west"].public.to_text(), "not_after": "2030-01-01"}
    border.release()
    config = border.config()
    before = resolve_releases(config, datetime(2029, 12, 31, tzinfo=timezone.utc))
    after = resolve_releases(config, datetime(2030, 1, 1, tzinfo=timezone.utc))
    assert before.fingerprint != after.fingerprint
    assert (len(before.key_ids["eu-west"]), after.key_ids["eu-west"]) == (1, ())


def test_a_forged_revocation_is_ignored_and_named(border):
    folder = border.release()
    revoke_release(open_store(str(folder)), KEYS["us-east"], "sabotage")
    note = next(folder.parent.glob("*.revoked-*"))
    under_its_name = folder.parent / f"{folder.name}.revoked-{KEYS['eu-west'].public.key_id}.json"
    forged = json.loads(note.read_bytes())
    forged["signature"]["key_id"] = KEYS["eu-west"].public.key_id
    under_its_name.write_text(canonical_json(forged) + "\n")
    result = border.merge()
    assert names(result) == ["eu-west", "us-east"]
    assert sorted(line.split("json: ")[1] for line in result.warnings) == [
        "revocation by a key that is not trusted for locale eu-west; ignored.",
        f"the signature by key {KEYS['eu-west'].public.key_id} does not fit; forged, and ignored.",
    ]
    # Whoever held the place with a forged note does not keep the locale from revoking.
    revoke_release(open_store(str(folder)), KEYS["eu-west"], "a row was real")
    assert names(border.merge()) == ["us-east"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[" * 100, b"x" * 100_000, b'{"format":"isthmus-revocation"}'],
    ids=["empty", "no fields", "deep", "large", "half"],
)
def test_a_revocation_that_is_junk_is_ignored_and_named(border, raw):
    folder = border.release()
    key_id = KEYS["eu-west"].public.key_id
    (folder.parent / f"{folder.name}.revoked-{key_id}.json").write_bytes(raw)
    result = border.merge()
    assert names(result) == ["eu-west", "us-east"]
    assert len(result.warnings) == 1 and result.warnings[0].endswith("Ignored.")


def test_a_revocation_of_another_release_is_ignored_and_named(border):
    first, second = border.release(), border.release(shard=1)
    done = revoke_release(open_store(str(first)), KEYS["eu-west"], "only the first")
    note = Path(done.uri)
    shutil.copy(note, note.with_name(note.name.replace(first.name, second.name)))
    result = border.merge()
    assert names(result) == ["eu-west", "us-east"]
    assert "a revocation of another release; moved or copied here, and ignored" in result.warnings[0]


def test_a_thousand_notes_beside_a_release_do_not_hide_the_true_one(border):
    folder = border.release()
    for number in range(1000):
        (folder.parent / f"{folder.name}.revoked-{number:016x}.json").write_bytes(b"junk")
    revoke_release(open_store(str(folder)), KEYS["eu-west"], "a row was real")
    result = border.merge()
    assert names(result) == ["us-east"] and "a row was real" in result.refused[0]["reason"]


def test_more_notes_by_a_trusted_key_than_can_be_honest_are_refused(border):
    folder = border.release()
    key_id, release_id = KEYS["eu-west"].public.key_id, folder.name[2:]
    for number in range(2, 70):
        (folder.parent / f"{number}-{release_id}.revoked-{key_id}.json").write_bytes(b"junk")
    (refused,) = border.merge().refused
    assert "more than 64 revocations of one release; refused" in refused["reason"]


def test_a_new_revocation_changes_what_the_cache_sees(border):
    folder = border.release()
    config = border.config()
    before = resolve_releases(config).fingerprint
    revoke_release(open_store(str(folder)), KEYS["eu-west"], "r")
    seen = resolve_releases(config).fingerprint
    border.merge()
    next(folder.parent.glob("*.revoked-*")).unlink()
    taken_away = resolve_releases(config).fingerprint
    assert len({before, seen, taken_away}) == 3


def test_an_exchange_that_is_set_back_does_not_meet_the_cache_of_its_earlier_state(border):
    border.release()
    config = border.config()
    first = resolve_releases(config).fingerprint
    border.merge()
    assert resolve_releases(config).fingerprint == first  # a second run is served by the cache
    newest = border.release(shard=1)
    border.merge()
    shutil.rmtree(newest)
    assert resolve_releases(config).fingerprint != first


def test_an_older_span_is_merged_where_the_centre_asks_for_it(border):
    border.release()
    border.release(span=2)
    border.merge()
    result = border.merge(spans={"eu-west": 1})
    assert [(item.locale, item.span) for item in result.accepted] == [("eu-west", 1), ("us-east", 1)]


def test_a_memory_that_does_not_parse_stops_the_merge(border):
    border.release()
    border.merge()
    (border.root / "centre/exchange-memory.json").write_text("{")
    with pytest.raises(Exception, match=r"does not parse, so what the exchange held before is not known"):
        border.merge()


def test_a_clock_that_is_a_day_off_is_a_warning_and_nothing_else(border):
    files = {"Split-train/a.gz": border.shards[0]}
    publish_release(border.store, KEYS["eu-west"], files, "2999-01-02T00:00:00Z", **border.fields("eu-west"))
    ahead = border.merge()
    assert names(ahead) == ["eu-west", "us-east"]
    assert len(ahead.warnings) == 1 and "h ahead of this machine's" in ahead.warnings[0]
    files = {"Split-train/a.gz": border.shards[1]}
    publish_release(border.store, KEYS["eu-west"], files, "1999-01-01T00:00:00Z", **border.fields("eu-west"))
    behind = border.merge()
    assert [item.sequence for item in behind.accepted] == [2, 1]
    assert len(behind.warnings) == 1 and "a clock was wrong. The sequence decides" in behind.warnings[0]


def test_names_that_differ_in_case_beside_a_good_release_are_named(border):
    folder = border.release()
    upper = "ABCDEF012345"
    for path in (
        border.root / "exchange/EU-west/span-1",
        border.root / "exchange/eu-west/SPAN-2",
        border.root / f"exchange/eu-west/span-1/9-{upper}",
    ):
        path.mkdir(parents=True)
        shutil.copy(folder / "manifest.json", path / "manifest.json")
    result = border.merge()
    assert names(result) == ["eu-west", "us-east"]
    assert sorted(line.split(": ", 1)[1] for line in result.warnings) == [
        "differs from a release's folder in case only; not read.",
        "differs from a span's folder in case only; not read.",
        "differs from locale eu-west in case only; not read.",
    ]


def test_a_revocation_round_trips():
    note = Revocation(
        locale="eu-west",
        span=1,
        sequence=2,
        release_id="0" * 12,
        content_digest="0" * 64,
        manifest_sha256="1" * 64,
        reason="é and \u2028",
        revoked_at="2026-01-01T00:00:00Z",
    )
    signed = KEYS["eu-west"].sign(note)
    assert KEYS["eu-west"].public.verifies(signed)
    assert Revocation.model_validate_json(signed.to_bytes()) == signed


def test_a_record_header_says_its_length():
    assert struct.unpack("<Q", record_header(2**60)[:8])[0] == 2**60
