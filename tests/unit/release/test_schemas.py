"""The shipped JSON Schemas, and the strict reader in front of them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config_base import canonical_json
from components.errors import ReleaseError
from components.release import canonical
from components.release.canonical import check_schema, is_canonical, load_schema, nesting_depth, parse_json
from components.release.manifest import (
    NOT_CONTENT,
    Approver,
    FileEntry,
    Manifest,
    Versions,
    build_manifest,
    content_digest,
    parse_manifest,
)
from components.release.privacy import PrivacyClaim, PrivacyStatement, synthetic_statement
from components.release.revocation import Revocation, parse_revocation
from components.release.signature import Signature

SCHEMAS = {"release-manifest-2": Manifest, "revocation-1": Revocation}
CLAIM = PrivacyClaim(
    mechanism="DP-SGD",
    epsilon=1.5,
    delta=1e-6,
    unit="record",
    adjacency="add_or_remove_one",
    sampling="each row with probability 0.01",
)


def manifest(**change) -> Manifest:
    fields = {
        "locale": "eu-west",
        "span": 3,
        "sequence": 2,
        "kind": "synthetic",
        "rows": {"train": 10},
        "columns": {"timestamp": "int64", "x": "float32"},
        "files": {"Split-train/a.gz": FileEntry(sha256="a" * 64, size_bytes=5)},
        "versions": Versions(isthmus="1", tfx="2", tensorflow="3"),
        "config_digest": "b" * 64,
        "privacy": synthetic_statement("eu-west", 3, CLAIM),
        "verdict": "BLESSED",
        "gates": {"dcr": "passed"},
        "approver": Approver(name="Ada", decided_at="2026-01-01T00:00:00Z", decision_digest="c" * 64),
    }
    return build_manifest("2026-01-01T00:00:00Z", **{**fields, **change})


def fields_of(document) -> dict:
    return json.loads(document.to_bytes())


def parse(raw: bytes) -> Manifest:
    return parse_manifest(raw, "here", 1 << 20, 8)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_names_the_fields_of_its_document(name):
    schema = load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert sorted(schema["properties"]) == sorted(SCHEMAS[name].model_fields) == schema["required"]
    assert schema["additionalProperties"] is False
    assert schema["$id"].endswith(f":{schema['properties']['format_version']['const']}")
    assert (Path(canonical.__file__).parent / "schemas" / f"{name}.schema.json").read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("key", "model"),
    [
        ("privacy", PrivacyStatement),
        ("versions", Versions),
        ("approver", Approver),
        ("signature", Signature),
    ],
)
def test_the_schema_names_the_fields_of_nested_documents(key, model):
    nested = load_schema("release-manifest-2")["properties"][key]
    assert sorted(nested["properties"]) == sorted(model.model_fields) == sorted(nested["required"])
    assert nested["additionalProperties"] is False


def test_the_schema_says_what_the_content_digest_leaves_out():
    text = load_schema("release-manifest-2")["properties"]["content_digest"]["description"]
    assert all(name in text for name in NOT_CONTENT)


@pytest.mark.parametrize("change", [{}, {"approver": None}, {"privacy": synthetic_statement("eu-west", 3)}])
def test_what_we_write_the_schema_accepts(change):
    assert parse(manifest(**change).to_bytes()) == manifest(**change)


#: Values of every JSON type, and some that are nearly right.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-2, 2),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value, path=()):
    """Paths of all fields of a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    return found


BASE = fields_of(manifest())
PLACES = places(BASE)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_whatever_stands_in_a_field_is_accepted_as_it_is_or_refused(path, value):
    """Nothing is coerced: what is accepted has the very bytes that were given."""
    fields = json.loads(json.dumps(BASE))
    target = fields
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    fields["content_digest"] = content_digest(fields)
    fields["release_id"] = fields["content_digest"][:12]
    raw = (canonical_json(fields) + "\n").encode()
    try:
        found = parse(raw)
    except ReleaseError as error:
        assert "\n" not in str(error)
    else:
        assert found.to_bytes() == raw


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("span",), "3", r"\(span: is not of type integer\)"),
        (("span",), True, r"\(span: is not of type integer\)"),
        (("span",), 3.0, "canonical form|span"),
        (("sequence",), 0, r"\(sequence: breaks minimum 1\)"),
        (("kind",), "real", r"\(kind: breaks enum \['synthetic', 'open'\]\)"),
        (("locale",), "../eu", r"\(locale: breaks pattern"),
        (("rows",), {"train": -1}, r"\(rows.train: breaks minimum 0\)"),
        (("columns",), {"x": "pickle"}, r"\(columns.x: breaks enum"),
        (("versions", "tfx"), None, r"\(versions.tfx: is not of type string\)"),
        (
            ("privacy", "mechanism"),
            "none: no differential privacy",
            r"\(privacy.adjacency: is not of type null",
        ),
        (("privacy", "epsilon"), None, r"\(privacy.epsilon: is not of type number\)"),
        (("privacy", "delta"), 1, r"\(privacy.delta: breaks exclusiveMaximum 1\)"),
        (("approver",), {"name": "A"}, r"\(approver: lacks decided_at, decision_digest\)"),
        (("gates",), {"dcr": True}, r"\(gates.dcr: breaks enum"),
        (("signature",), {}, r"\(signature: lacks algorithm, key_id, value\)"),
    ],
)
def test_a_wrong_value_is_named_by_place_and_rule(path, value, expected):
    fields = json.loads(json.dumps(BASE))
    target = fields
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(ReleaseError, match=expected):
        parse((canonical_json(fields) + "\n").encode())


def test_unknown_fields_are_named_harmlessly_wherever_they_are():
    for place in ((), ("versions",), ("privacy",), ("files", "Split-train/a.gz")):
        fields = json.loads(json.dumps(BASE))
        target = fields
        for key in place:
            target = target[key]
        target["\x1b[31m" + "x" * 500] = 1
        with pytest.raises(ReleaseError, match=r"unknown field \\x1b\[31mx+") as caught:
            parse((canonical_json(fields) + "\n").encode())
        assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":NaN}', "holds NaN, which is not JSON"),
        (b'{"a":-Infinity}', "holds -Infinity"),
        (b'{"a":1e999}', "a number that is not finite"),
        (b'{"a":' + b"9" * 5000 + b"}", "more than 64 bits"),
        (b'{"a":1,"b":2,"a":1}', "gives the key 'a' twice"),
        (b'{"x":{"a":1,"a":1}}', "gives the key 'a' twice"),
        (b'{"a":1} trailing', "is not JSON"),
        (b'\xef\xbb\xbf{"a":1}', "is not JSON"),
        (b"", "is not JSON"),
        (b'{"a":"\xff"}', "is not UTF-8"),
        (b"[" * 9 + b"]" * 9, "nested 9 deep, allowed 8"),
    ],
)
def test_what_is_no_json_of_ours(raw, expected):
    with pytest.raises(ReleaseError, match=expected):
        parse_json(raw, "here", "manifest", 1 << 20, 8)


def test_half_a_surrogate_pair_has_no_canonical_form():
    assert not is_canonical(json.loads('{"a":"\\ud800"}'), b'{"a":"\\ud800"}\n')


def test_a_megabyte_of_escapes_is_measured_in_one_pass():
    """A pattern that backtracks needs hours for this; the time is not asserted, the test's limit is."""
    assert nesting_depth('"' + '\\"' * 500_000 + "[[") == 2  # an endless string is no JSON
    assert nesting_depth('{"a":"' + '\\"' * 500_000 + '[[[","b":[1]}') == 2
    assert nesting_depth('{"a\\\\":[[]]}') == 3


def test_a_rule_of_the_schema_is_checked_where_the_model_has_none():
    """Bounds that only the schema has: it is not for show."""
    many = {f"c{number}": "int64" for number in range(8193)}
    with pytest.raises(ReleaseError, match=r"\(columns: breaks maxProperties 8192\)"):
        check_schema({**BASE, "columns": many}, "release-manifest-2", "here", "release manifest")
    sentences = {**BASE["privacy"], "sentences": ["x" * 2001]}
    with pytest.raises(ReleaseError, match=r"\(privacy.sentences.0: breaks maxLength 2000\)"):
        check_schema({**BASE, "privacy": sentences}, "release-manifest-2", "here", "release manifest")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_revocation_or_refused(raw):
    with pytest.raises(ReleaseError):
        parse_revocation(raw, "here")
