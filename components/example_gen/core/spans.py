"""Which files are a span: a pure function of a pattern and what the file system lists.

The tokens are TFX's: `{SPAN}`, `{VERSION}` (with an optional width, `{SPAN:04}`) and
`{YYYY}`, `{MM}`, `{DD}`, whose span is the number of days since 1970-01-01.
Source: tfx/components/example_gen/utils.py.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import fsspec

from components.config_base import canonical_json
from components.errors import ConfigError, DataError, list_briefly

_TOKEN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::0?(\d+))?\}")
_DATE_WIDTHS = {"YYYY": 4, "MM": 2, "DD": 2}
_EPOCH = datetime.date(1970, 1, 1)
#: What object stores say about an object's content, under their various names.
_REMOTE_MARKS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated")


@dataclass(frozen=True)
class SourceFile:
    """One file of a span.

    Attributes:
      path: As its file system names it.
      name: Relative to the pattern's fixed part; what messages and the quarantine show.
    """

    path: str
    name: str


@dataclass(frozen=True)
class ResolvedSpan:
    """The files of one span and version.

    Attributes:
      span: Its number; 0 where the pattern has no span.
      version: The highest there is, or None where the pattern has none.
      files: Sorted by path.
      fingerprint: SHA-256 (hex) over names, sizes and contents (remote: what the store says of them).
      filesystem: Where the files are.
    """

    span: int
    version: int | None
    files: tuple[SourceFile, ...]
    fingerprint: str
    filesystem: Any


def resolve_span(
    pattern: str, span: int | Literal["latest"] | None = "latest", filesystem: Any = None
) -> ResolvedSpan:
    """Finds the files of a span.

    Args:
      pattern: Path or URI with globs and span tokens.
      span: A number, or `latest` (also None) for the highest that exists.
      filesystem: An fsspec file system; None takes the one of the pattern's URI.

    Raises:
      ConfigError: the pattern is malformed.
      DataError: nothing matches, or the span does not exist.
    """
    filesystem, found = _list(pattern, filesystem)
    spans = sorted({key[0] for key in found})
    if not spans:
        raise DataError(
            f"source '{pattern}': no file matches. Check the path, or the span's files have not come yet."
        )
    wanted = spans[-1] if span in (None, "latest") else span
    if wanted not in spans:
        if spans == [0] and not _has_span(pattern):
            raise DataError(
                f"source '{pattern}': has no {{SPAN}}, so span 0 is all there is; asked for {wanted}."
            )
        newest = list_briefly(reversed(spans))
        raise DataError(
            f"source '{pattern}': span {wanted} does not exist. Spans there, newest first: {newest}."
        )
    version = max(key[1] for key in found if key[0] == wanted)
    files = tuple(sorted(found[(wanted, version)], key=lambda file: file.path))
    return ResolvedSpan(
        span=int(wanted),
        version=None if version < 0 else version,
        files=files,
        fingerprint=fingerprint(files, filesystem),
        filesystem=filesystem,
    )


def resolve_sources(
    patterns: Sequence[str], span: int | Literal["latest"] | None = "latest"
) -> tuple[int, tuple[ResolvedSpan, ...], str]:
    """Resolves several patterns to one span.

    Args:
      patterns: One or more; those without `{SPAN}` or a date belong to every span.
      span: A number, or `latest` (also None) for the highest that every pattern has.

    Returns:
      Span, its files per pattern, and one fingerprint over all.

    Raises:
      ConfigError, DataError: as `resolve_span`; or no span is common to all.
    """
    dated = [pattern for pattern in patterns if _has_span(pattern)]
    if dated and span in (None, "latest"):
        common = set.intersection(*(set(list_spans(pattern)) for pattern in dated))
        if not common:
            for pattern in dated:
                resolve_span(pattern)
            raise DataError(f"sources {list_briefly(dated)}: no span is common to all of them")
        span = max(common)
    resolved = tuple(
        resolve_span(pattern, span if _has_span(pattern) else ("latest" if dated else span))
        for pattern in patterns
    )
    number = int(span) if dated and isinstance(span, int) else 0
    digest = hashlib.sha256(canonical_json([item.fingerprint for item in resolved]).encode()).hexdigest()
    return number, resolved, digest


def list_spans(pattern: str, filesystem: Any = None) -> list[int]:
    """Numbers of the spans that exist, ascending."""
    return sorted({key[0] for key in _list(pattern, filesystem)[1]})


def list_files(pattern: str, filesystem: Any = None) -> tuple[Any, dict[tuple[int, int], list[SourceFile]]]:
    """Every file that matches, also of versions that a newer one has replaced.

    Returns:
      The file system, and the files by span (0 where the pattern has none) and version (-1 for none).

    Raises:
      ConfigError: the pattern is malformed.
      DataError: it cannot be listed.
    """
    filesystem, found = _list(pattern, filesystem)
    return filesystem, {key: sorted(found[key], key=lambda file: file.path) for key in sorted(found)}


def fingerprint(files: Sequence[SourceFile], filesystem: Any) -> str:
    """SHA-256 (hex) over the files' names, sizes and contents.

    A remote file is not downloaded for it: its ETag, checksum or time of change stands for the content.
    """
    protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
    near = protocol in ("file", "local", "memory")
    entries = []
    for file in files:
        info = filesystem.info(file.path)
        marks = {mark: str(info[mark]) for mark in _REMOTE_MARKS if mark in info}
        content = _content_digest(file.path, filesystem) if near or not marks else canonical_json(marks)
        entries.append([file.name, int(info.get("size") or 0), content])
    return hashlib.sha256(canonical_json(entries).encode()).hexdigest()


def _content_digest(path: str, filesystem: Any) -> str:
    digest = hashlib.sha256()
    with filesystem.open(path, "rb") as stream:
        while data := stream.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _has_span(pattern: str) -> bool:
    return any(match.group(1) != "VERSION" for match in _TOKEN.finditer(pattern))


def _list(pattern: str, filesystem: Any) -> tuple[Any, dict[tuple[int, int], list[SourceFile]]]:
    """File system, and files by (span, version); version -1 where the pattern has none."""
    _check(pattern)
    glob = _TOKEN.sub("*", pattern)
    try:
        if filesystem is None:
            filesystem, glob = fsspec.core.url_to_fs(glob)
        else:
            glob = filesystem._strip_protocol(glob)
        listed = filesystem.glob(glob, detail=True)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"source '{pattern}': {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise DataError(
            f"source '{pattern}': cannot be listed ({error.strerror or type(error).__name__})"
        ) from error
    regex = _regex(_absolute(pattern, filesystem))
    root = re.split(r"[*?\[]", glob, maxsplit=1)[0].rpartition("/")[0]
    found: dict[tuple[int, int], list[SourceFile]] = {}
    for path, info in listed.items():
        match = regex.fullmatch(path)
        key = _key(match.groupdict()) if match and info.get("type") != "directory" else None
        if key is not None:
            name = path[len(root) :].lstrip("/") if path.startswith(root) else path
            found.setdefault(key, []).append(SourceFile(path, name))
    return filesystem, found


def _absolute(pattern: str, filesystem: Any) -> str:
    # The tokens' braces survive a file system's path clean-up, so the same clean-up serves both forms.
    return str(filesystem._strip_protocol(pattern))


def _check(pattern: str) -> None:
    names = [match.group(1) for match in _TOKEN.finditer(pattern)]
    dates = [name for name in names if name in _DATE_WIDTHS]
    if left := re.search(r"\{[A-Z]+[^}]*\}?", _TOKEN.sub("", pattern)):
        raise ConfigError(
            f"source '{pattern}': unknown token {left.group()}. "
            "Allowed: {SPAN}, {SPAN:04}, {VERSION}, {YYYY}, {MM}, {DD}."
        )
    if dates and set(dates) != set(_DATE_WIDTHS):
        raise ConfigError(f"source '{pattern}': a date needs all of {{YYYY}}, {{MM}} and {{DD}}")
    if dates and "SPAN" in names:
        raise ConfigError(f"source '{pattern}': use either {{SPAN}} or a date, not both")
    if "VERSION" in names and not dates and "SPAN" not in names:
        raise ConfigError(f"source '{pattern}': {{VERSION}} needs {{SPAN}} or a date")


def _regex(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression with a group per token; a repeated token must repeat its value."""
    parts, position, seen = [], 0, set()
    tokens = re.compile(rf"{_TOKEN.pattern}|\*\*/?|\*|\?|\[[^\]]+\]")
    for match in tokens.finditer(pattern):
        parts.append(re.escape(pattern[position : match.start()]))
        position = match.end()
        name, width = match.group(1), match.group(2) or _DATE_WIDTHS.get(match.group(1) or "")
        if name in seen:
            parts.append(f"(?P={name})")
        elif name:
            seen.add(name)
            parts.append(rf"(?P<{name}>\d{{{width}}})" if width else rf"(?P<{name}>\d+)")
        else:
            text = match.group()
            globs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
            parts.append(globs.get(text, text.replace("[!", "[^")))
    return re.compile("".join(parts) + re.escape(pattern[position:]), re.DOTALL)


def _key(groups: dict[str, str | None]) -> tuple[int, int] | None:
    number = groups.get("VERSION")
    version = int(number) if number else -1
    if groups.get("YYYY"):
        try:
            day = datetime.date(int(groups["YYYY"] or 0), int(groups["MM"] or 0), int(groups["DD"] or 0))
        except ValueError:
            return None
        return (day - _EPOCH).days, version
    return int(groups.get("SPAN") or 0), version
