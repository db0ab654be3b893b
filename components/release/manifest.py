"""The manifest of a release: what it is, where it is from, and the digest of every file in it.

A manifest is canonical JSON (sorted keys, no white space, one trailing newline), so that one
manifest has exactly one byte form; a file in any other form is refused. The signature covers all of
it. The content digest covers what the release holds and claims, not how, when and by whom it was made,
so that the same rows have the same release id in every run, and a run that changes nothing about them
publishes nothing new.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from components.config_base import ComponentConfig, canonical_json
from components.errors import ReleaseError
from components.release.canonical import check_schema, is_canonical, parse_json, printable
from components.release.privacy import PrivacyStatement
from components.release.signature import Signed

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 2
SCHEMA = f"release-manifest-{FORMAT_VERSION}"
#: Signatures are over this prefix and the manifest, so that no signature of ours made for another
#: purpose can be presented as one of a release.
SIGNING_CONTEXT = b"isthmus-release-v2\n"
#: `release_id` is this many hexadecimal digits of the content digest (decision 1).
RELEASE_ID_DIGITS = 12
#: What must be true of a release that carries real rows; there is no gate on those but the schema.
SCHEMA_VALIDATED = "schema-validated"

#: The file kinds that a release may hold, and nothing else (the allow-list of the border).
ALLOWED_FILES = re.compile(
    r"(?:Split-(?P<split>[A-Za-z0-9][A-Za-z0-9._-]{0,127})/[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.gz"
    r"|schema\.pbtxt|statistics/FeatureStats\.pb|evaluation\.json|monitor\.json|sketch\.json)"
)

#: A locale is also a folder name in the exchange and a split name after the merge.
LOCALE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
#: Spans and sequence numbers are at most this: they are parts of folder names.
MAX_NUMBER = 10**12 - 1

#: Fields that say how, when, by whom and as which number a release was made, not what it holds.
NOT_CONTENT = frozenset(
    {"sequence", "versions", "config_digest", "approver", "release_id", "content_digest", "created_at"}
    | {"signature"}
)

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


class Approver(ComponentConfig):
    """Who cleared a release, where the locale's policy asks for it.

    Attributes:
      name: The person, as the locale's policy file names them.
      decided_at: UTC, ISO 8601 to the second.
      decision_digest: SHA-256 (hex) of the decision's record in the locale's audit log.
    """

    name: str = pydantic.Field(min_length=1, max_length=200)
    decided_at: str = pydantic.Field(pattern=TIME_PATTERN)
    decision_digest: Sha256


class Manifest(Signed):
    """What a release is. See the module docstring for its byte form.

    Attributes:
      locale, span: Where and when the rows are from.
      sequence: Number of this release among those of its locale and span, from 1; the highest is the
        newest, whatever any clock says.
      kind: `synthetic` (restricted locale) or `open` (the validated rows themselves).
      rows: Rows per split.
      columns: Name to type of every column of the rows.
      schema_digest: SHA-256 of the canonical JSON of `columns`.
      files: Path inside the release to digest and size; the manifest itself is not listed.
      config_digest: SHA-256 of the configuration of the run that made it.
      verdict: `BLESSED` for synthetic rows, `schema-validated` for open ones.
      gates: `passed`, `failed` or `not applicable` per check of the gate.
      approver: Who cleared it, where the locale's policy asks for that.
      content_digest: SHA-256 over all of this except the fields in `NOT_CONTENT`.
      created_at: UTC, ISO 8601 to the second, by the publisher's clock. It informs; nothing is decided
        by it.
    """

    signing_context: ClassVar[bytes] = SIGNING_CONTEXT

    format: Literal["isthmus-release"] = "isthmus-release"
    format_version: Literal[2] = 2
    locale: str = pydantic.Field(pattern=LOCALE_PATTERN)
    span: int = pydantic.Field(ge=0, le=MAX_NUMBER)
    sequence: int = pydantic.Field(ge=1, le=MAX_NUMBER)
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
    approver: Approver | None = None
    release_id: str = pydantic.Field(pattern=r"^[0-9a-f]{12}$")
    content_digest: Sha256
    created_at: str = pydantic.Field(pattern=TIME_PATTERN)

    @property
    def total_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    @property
    def total_bytes(self) -> int:
        """Size of all listed files in bytes, the manifest not included."""
        return sum(entry.size_bytes for entry in self.files.values())


def columns_digest(columns: dict[str, str]) -> str:
    """SHA-256 (hex) of column names and types; the order of the columns does not matter."""
    return hashlib.sha256(canonical_json(columns).encode()).hexdigest()


def content_digest(fields: dict[str, Any]) -> str:
    """SHA-256 (hex) of a manifest's fields in JSON form, without what does not count as content."""
    content = {key: value for key, value in fields.items() if key not in NOT_CONTENT}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def utc_now() -> str:
    """The time as manifests write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def build_manifest(created_at: str | None = None, **fields: Any) -> Manifest:
    """An unsigned manifest with schema digest, content digest and release id filled in.

    Args:
      created_at: UTC time in the manifest's form; now when None.
      **fields: All other fields of `Manifest`, except the computed ones; `sequence` is 1 until the
        exchange is looked at.
    """
    placeholder = "0" * 64
    draft = Manifest(
        **{"sequence": 1, **fields},
        schema_digest=columns_digest(fields["columns"]),
        release_id=placeholder[:RELEASE_ID_DIGITS],
        content_digest=placeholder,
        created_at=created_at or utc_now(),
    )
    digest = content_digest(draft.model_dump(mode="json"))
    return draft.model_copy(update={"content_digest": digest, "release_id": digest[:RELEASE_ID_DIGITS]})


def parse_manifest(raw: bytes, place: str, max_bytes: int, max_depth: int) -> Manifest:
    """Parses an untrusted manifest and checks that it agrees with itself; not who signed it.

    Raises:
      ReleaseError: too large, too deep, not JSON, not of this form or version, not canonical, or its
        digests do not fit its contents.
    """
    fields = parse_json(raw, place, "manifest", max_bytes, max_depth)
    found = fields.get("format_version") if isinstance(fields, dict) else None
    if isinstance(fields, dict) and fields.get("format") == "isthmus-release" and found != FORMAT_VERSION:
        raise ReleaseError(
            f"{place}: manifest has format version {printable(str(found))[:20]}, this Isthmus reads "
            f"{FORMAT_VERSION}; bring both sides to the same Isthmus version."
        )
    check_schema(fields, SCHEMA, place, "release manifest")
    try:
        manifest = Manifest.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(printable(str(part)) for part in first["loc"]) or "top level"
        raise ReleaseError(f"{place}: not a release manifest ({where}: {first['msg']}).") from None
    if not is_canonical(fields, raw) or manifest.to_bytes() != raw:
        raise ReleaseError(f"{place}: manifest is not in canonical form; it was edited after it was written.")
    digest = content_digest(manifest.model_dump(mode="json"))
    if manifest.content_digest != digest or manifest.release_id != digest[:RELEASE_ID_DIGITS]:
        raise ReleaseError(f"{place}: manifest does not fit its own content digest; it was altered.")
    if manifest.schema_digest != columns_digest(dict(manifest.columns)):
        raise ReleaseError(f"{place}: schema digest does not fit the columns; the manifest was altered.")
    return manifest
