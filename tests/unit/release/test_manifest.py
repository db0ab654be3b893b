"""Manifest: one byte form, self-consistent, refused in any other state."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ReleaseError
from components.release.manifest import (
    ALLOWED_FILES,
    FileEntry,
    PrivacyStatement,
    Versions,
    build_manifest,
    columns_digest,
    content_digest,
    parse_manifest,
)

FIELDS = {
    "locale": "eu-west",
    "span": 3,
    "kind": "synthetic",
    "rows": {"train": 10},
    "columns": {"timestamp": "int64", "x": "float32"},
    "files": {"Split-train/a.gz": FileEntry(sha256="a" * 64, size_bytes=5)},
    "versions": Versions(isthmus="1", tfx="2", tensorflow="3"),
    "config_digest": "b" * 64,
    "sequence": 1,
    "privacy": PrivacyStatement(sentences=("One.", "Two.")),
    "verdict": "BLESSED",
    "gates": {"dcr": "passed"},
}


def parse(raw: bytes):
    return parse_manifest(raw, "here", 1 << 20, 8)


def test_round_trip_gives_the_same_manifest_and_bytes():
    manifest = build_manifest(**FIELDS)
    assert parse(manifest.to_bytes()) == manifest
    assert parse(manifest.to_bytes()).to_bytes() == manifest.to_bytes()


def test_the_id_is_the_start_of_the_content_digest_and_ignores_the_time():
    early = build_manifest("2020-01-01T00:00:00Z", **FIELDS)
    late = build_manifest("2030-01-01T00:00:00Z", **FIELDS)
    assert early.release_id == early.content_digest[:12]
    assert early.content_digest == late.content_digest
    assert early.to_bytes() != late.to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"locale": "eu-east"},
        {"span": 4},
        {"rows": {"train": 11}},
        {"gates": {"dcr": "not applicable"}},
        {"columns": {"timestamp": "int64"}},
        {"files": {"Split-train/a.gz": FileEntry(sha256="b" * 64, size_bytes=5)}},
    ],
)
def test_every_content_field_changes_the_id(change):
    assert build_manifest(**{**FIELDS, **change}).release_id != build_manifest(**FIELDS).release_id


@pytest.mark.parametrize(
    "change", [{"config_digest": "c" * 64}, {"versions": Versions(isthmus="9", tfx="9", tensorflow="9")}]
)
def test_how_the_rows_were_made_does_not_change_the_id_but_is_signed(change):
    other = build_manifest("2020-01-01T00:00:00Z", **{**FIELDS, **change})
    manifest = build_manifest("2020-01-01T00:00:00Z", **FIELDS)
    assert other.release_id == manifest.release_id
    assert other.signed_bytes() != manifest.signed_bytes()


def test_totals():
    manifest = build_manifest(**{**FIELDS, "rows": {"train": 3, "eval": 4}})
    assert manifest.total_rows == 7
    assert manifest.total_bytes == 5


@pytest.mark.parametrize("field", ["rows", "verdict", "gates", "created_at", "span"])
def test_a_manifest_without_a_field_is_refused_by_name(field):
    fields = json.loads(build_manifest(**FIELDS).to_bytes())
    del fields[field]
    with pytest.raises(ReleaseError, match=f"not a release manifest \\(top level: lacks {field}"):
        parse(json.dumps(fields).encode())


def test_unknown_field_is_refused():
    fields = {**json.loads(build_manifest(**FIELDS).to_bytes()), "extra": 1}
    with pytest.raises(ReleaseError, match="extra"):
        parse(json.dumps(fields).encode())


def test_indented_or_reordered_json_is_not_canonical():
    fields = json.loads(build_manifest(**FIELDS).to_bytes())
    with pytest.raises(ReleaseError, match="canonical form"):
        parse(json.dumps(fields, indent=1).encode())


def test_duplicate_keys_are_refused():
    raw = build_manifest(**FIELDS).to_bytes()
    with pytest.raises(ReleaseError, match="gives the key 'span' twice"):
        parse(raw.replace(b'"columns"', b'"span":9,"columns"', 1))


def test_edited_count_does_not_fit_the_digest():
    raw = build_manifest(**FIELDS).to_bytes().replace(b'"train":10', b'"train":99')
    with pytest.raises(ReleaseError, match="content digest"):
        parse(raw)


def test_edited_columns_with_a_recomputed_content_digest_do_not_fit_the_schema_digest():
    fields = json.loads(build_manifest(**FIELDS).to_bytes())
    fields["columns"]["y"] = "int64"
    fields["content_digest"] = content_digest(fields)
    fields["release_id"] = fields["content_digest"][:12]
    raw = (json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n").encode()
    with pytest.raises(ReleaseError, match="schema digest"):
        parse(raw)


def test_too_large_too_deep_not_json_not_text_other_version():
    manifest = build_manifest(**FIELDS)
    with pytest.raises(ReleaseError, match="larger than 10 bytes"):
        parse_manifest(manifest.to_bytes(), "here", 10, 8)
    with pytest.raises(ReleaseError, match="nested 100000 deep, allowed 8"):
        parse(b"[" * 100_000)
    with pytest.raises(ReleaseError, match="not JSON"):
        parse(b"{nope")
    with pytest.raises(ReleaseError, match="not UTF-8"):
        parse(b"\xff\xfe")
    with pytest.raises(ReleaseError, match="format version 1, this Isthmus reads 2"):
        parse(b'{"format":"isthmus-release","format_version":1}')
    with pytest.raises(ReleaseError, match="not a release manifest"):
        parse(b"[]")


def test_brackets_in_strings_do_not_count_as_depth():
    sentence = "[" * 50 + '\\"{{{'
    manifest = build_manifest(**{**FIELDS, "privacy": PrivacyStatement(sentences=(sentence,))})
    assert parse(manifest.to_bytes()).privacy.sentences == (sentence,)


@pytest.mark.parametrize(
    "name",
    [
        "../x.gz",
        "/etc/passwd",
        "Split-train/../../x.gz",
        "Split-train\\x.gz",
        "Split-../x.gz",
        "Split-train/.hidden.gz",
        "Split-train/sub/x.gz",
        "plots.json",
        "manifest.json",
        "evaluation.json\n",
        "Split-train/x.gz\n",
        "saved_model.pb",
        "",
    ],
)
def test_names_that_no_release_may_hold(name):
    assert not ALLOWED_FILES.fullmatch(name)


def test_names_that_a_release_may_hold():
    names = ["Split-train/data_tfrecord-00000-of-00001.gz", "schema.pbtxt", "statistics/FeatureStats.pb"]
    assert all(map(ALLOWED_FILES.fullmatch, [*names, "evaluation.json"]))


@given(st.dictionaries(st.text(max_size=8), st.sampled_from(["int64", "float32", "string"]), max_size=6))
def test_columns_digest_ignores_the_order(columns):
    assert columns_digest(columns) == columns_digest(dict(reversed(columns.items())))


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_never_anything_else(raw):
    with pytest.raises(ReleaseError):
        parse(raw)
