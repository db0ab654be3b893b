"""The manifest of a release: what it is, where it is from, and the digest of every file in it.

A manifest is canonical JSON (sorted keys, no white space, one trailing newline), so that one
manifest has exactly one byte form; a file in any other form is refused. The signature covers all of
it. The content digest covers what the release holds and claims, not how, when and by whom it was made,
so that the same rows have the same release id in every run, and a run that changes nothing about them
publishes nothing new.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

import pydantic

from components.config_base import ComponentConfig, canonical_json
from components.errors import ReleaseError

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
#: Signatures are over this prefix and the manifest, so that no signature of ours made for another
#: purpose can be presented as one of a release.
SIGNING_CONTEXT = b"isthmus-release-v1\n"
#: `release_id` is this many hexadecimal digits of the content digest (decision 1).
RELEASE_ID_DIGITS = 12
#: What must be true of a release that carries real rows; there is no gate on those but the schema.
SCHEMA_VALIDATED = "schema-validated"

#: The file kinds that a release may hold, and nothing else (the allow-list of the border).
ALLOWED_FILES = re.compile(
    r"(?:Split-(?P<split>[A-Za-z0-9][A-Za-z0-9._-]{0,127})/[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.gz"
    r"|schema\.pbtxt|statistics/FeatureStats\.pb|evaluation\.json)"
)

#: A locale is also a folder name in the exchange and a split name after the merge.
LOCALE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"

Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
ReleaseKind = Literal["synthetic", "open"]
#: `null`: the column is there, but no row has a value, so that its type does not show.
ColumnType = Literal["int64", "float32", "string", "null"]
GateVerdict = Literal["passed", "failed", "not applicable"]


class FileEntry(ComponentConfig):
    """SHA-256 (hex) and size in bytes of one file."""

    sha256: Sha256
    size_bytes: int = pydantic.Field(ge=0)


class Versions(ComponentConfig):
    """The code that made the release."""

    isthmus: str
    tfx: str
    tensorflow: str


class PrivacyStatement(ComponentConfig):
    """What protects the people behind the rows, in sentences that a person can sign off.

    Attributes:
      mechanism: Name of the mechanism; `none (no differential privacy)` without one.
      sentences: What is covered and what is not.
    """

    mechanism: str = "none (no differential privacy)"
    sentences: tuple[str, ...]


class Signature(ComponentConfig):
    """An Ed25519 signature; `value` is base64, `key_id` names the public key."""

    key_id: str = pydantic.Field(pattern=r"^[0-9a-f]{16}$")
    algorithm: Literal["ed25519"] = "ed25519"
    value: str = pydantic.Field(max_length=128)


class Manifest(ComponentConfig):
    """What a release is. See the module docstring for its byte form.

    Attributes:
      locale, span: Where and when the rows are from.
      kind: `synthetic` (restricted locale) or `open` (the validated rows themselves).
      rows: Rows per split.
      columns: Name to type of every column of the rows.
      schema_digest: SHA-256 of the canonical JSON of `columns`.
      files: Path inside the release to digest and size; the manifest itself is not listed.
      config_digest: SHA-256 of the configuration of the run that made it.
      verdict: `BLESSED` for synthetic rows, `schema-validated` for open ones.
      gates: `passed`, `failed` or `not applicable` per check of the gate.
      content_digest: SHA-256 over all of this except `versions`, `config_digest`, `release_id`,
        `content_digest`, `created_at` and `signature`.
      created_at: UTC, ISO 8601 to the second.
    """

    format: Literal["isthmus-release"] = "isthmus-release"
    format_version: Literal[1] = 1
    locale: str = pydantic.Field(pattern=LOCALE_PATTERN)
    span: int = pydantic.Field(ge=0)
    kind: ReleaseKind
    rows: dict[str, Annotated[int, pydantic.Field(ge=0)]]
    columns: dict[str, ColumnType]
    schema_digest: Sha256
    files: dict[str, FileEntry]
    versions: Versions
    config_digest: str = pydantic.Field(pattern=r"^([0-9a-f]{64})?$")
    privacy: PrivacyStatement
    verdict: Literal["BLESSED", "schema-validated"]
    gates: dict[str, GateVerdict]
    release_id: str = pydantic.Field(pattern=r"^[0-9a-f]{12}$")
    content_digest: Sha256
    created_at: str = pydantic.Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    signature: Signature | None = None

    @property
    def total_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    @property
    def total_bytes(self) -> int:
        """Size of all listed files in bytes, the manifest not included."""
        return sum(entry.size_bytes for entry in self.files.values())

    def signed_bytes(self) -> bytes:
        """What the signature is over: everything but the signature itself."""
        return SIGNING_CONTEXT + canonical_json(self.model_dump(mode="json", exclude={"signature"})).encode()

    def to_bytes(self) -> bytes:
        """The one byte form of this manifest."""
        return (self.to_exec_property() + "\n").encode()


def columns_digest(columns: dict[str, str]) -> str:
    """SHA-256 (hex) of column names and types; the order of the columns does not matter."""
    return hashlib.sha256(canonical_json(columns).encode()).hexdigest()


def content_digest(fields: dict[str, Any]) -> str:
    """SHA-256 (hex) of a manifest's fields in JSON form, without what does not count as content."""
    outside = ("versions", "config_digest", "release_id", "content_digest", "created_at", "signature")
    content = {key: value for key, value in fields.items() if key not in outside}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def utc_now() -> str:
    """The time as manifests write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def build_manifest(created_at: str | None = None, **fields: Any) -> Manifest:
    """An unsigned manifest with schema digest, content digest and release id filled in.

    Args:
      created_at: UTC time in the manifest's form; now when None.
      **fields: All other fields of `Manifest`, except the computed ones.
    """
    placeholder = "0" * 64
    draft = Manifest(
        **fields,
        schema_digest=columns_digest(fields["columns"]),
        release_id=placeholder[:RELEASE_ID_DIGITS],
        content_digest=placeholder,
        created_at=created_at or utc_now(),
    )
    digest = content_digest(draft.model_dump(mode="json"))
    return draft.model_copy(update={"content_digest": digest, "release_id": digest[:RELEASE_ID_DIGITS]})


def _nesting_depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, without recursion (a parser would recurse)."""
    without_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", without_strings):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def parse_manifest(raw: bytes, place: str, max_bytes: int, max_depth: int) -> Manifest:
    """Parses an untrusted manifest and checks that it agrees with itself; not who signed it.

    Raises:
      ReleaseError: too large, too deep, not JSON, not of this form or version, not canonical, or its
        digests do not fit its contents.
    """
    if len(raw) > max_bytes:
        raise ReleaseError(f"{place}: manifest is larger than {max_bytes} bytes; refused unread.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ReleaseError(f"{place}: manifest is not UTF-8 text; ask the locale to release again.") from None
    depth = _nesting_depth(text)
    if depth > max_depth:
        raise ReleaseError(f"{place}: manifest is nested {depth} deep, allowed {max_depth}; refused unread.")
    try:
        fields = json.loads(text)
    except ValueError:
        raise ReleaseError(f"{place}: manifest is not JSON; ask the locale to release again.") from None
    found = fields.get("format_version") if isinstance(fields, dict) else None
    if isinstance(fields, dict) and fields.get("format") == "isthmus-release" and found != FORMAT_VERSION:
        raise ReleaseError(
            f"{place}: manifest has format version {str(found)[:20]}, this Isthmus reads {FORMAT_VERSION}; "
            "bring both sides to the same Isthmus version."
        )
    try:
        manifest = Manifest.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"]) or "top level"
        raise ReleaseError(f"{place}: not a release manifest ({where}: {first['msg']}).") from None
    if manifest.to_bytes() != raw:
        raise ReleaseError(f"{place}: manifest is not in canonical form; it was edited after it was written.")
    digest = content_digest(manifest.model_dump(mode="json"))
    if manifest.content_digest != digest or manifest.release_id != digest[:RELEASE_ID_DIGITS]:
        raise ReleaseError(f"{place}: manifest does not fit its own content digest; it was altered.")
    if manifest.schema_digest != columns_digest(dict(manifest.columns)):
        raise ReleaseError(f"{place}: schema digest does not fit the columns; the manifest was altered.")
    return manifest
