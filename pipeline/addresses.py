"""Paths and URIs as places: does one lie in another, can two patterns name the same file?

Both answers lean to yes: a place that cannot be told apart counts as the same.
"""

from __future__ import annotations

import fnmatch
import os
import re

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FIELD = re.compile(r"\{[^{}]*\}")
_WILD = re.compile(r"[*?\[]")


def is_address(text: str) -> bool:
    """Whether a text is a path from a root, a relative one that says so, or a URI."""
    if len(text) < 2:  # a delimiter
        return False
    return bool(text.startswith(("/", "~", "./", "../")) or _URI.match(text))


def normal(address: str) -> str:
    """One form of an address: `file://` and links resolved, `{SPAN}` and its like as wildcards."""
    text = _FIELD.sub("*", address.strip())
    if match := _URI.match(text):
        scheme = match.group().lower()
        if scheme not in ("file://", "local://"):
            return scheme + os.path.normpath("/" + text[match.end() :]).lstrip("/")
        text = "/" + text[match.end() :].lstrip("/")
    text = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111
    parts = text.split("/")
    fixed = next((i for i, part in enumerate(parts) if _WILD.search(part)), len(parts))
    # A link before the first wildcard would hide where a pattern points.
    return "/".join([os.path.realpath("/".join(parts[:fixed]) or "/").rstrip("/"), *parts[fixed:]])


def within(inner: str, outer: str) -> bool:
    """Whether `inner` is `outer` or lies below it; without wildcards in `outer`."""
    a, b = normal(inner), normal(outer)
    return a == b or a.startswith(b.rstrip("/") + "/")


def may_meet(one: str, other: str) -> bool:
    """Whether two patterns can name the same file, or one a folder that holds the other's files."""
    a, b = normal(one).split("/"), normal(other).split("/")
    for left, right in zip(a, b):
        if "**" in (left, right):
            return True
        if not _segments_meet(left, right):
            return False
    return True


def _segments_meet(a: str, b: str) -> bool:
    if not _WILD.search(a):
        return fnmatch.fnmatchcase(a, b)
    if not _WILD.search(b):
        return fnmatch.fnmatchcase(b, a)
    # Both are open: they differ for sure only where fixed beginnings or endings do.
    heads = [_WILD.split(part, maxsplit=1)[0] for part in (a, b)]
    tails = [re.split(r"[*?\]]", part)[-1] for part in (a, b)]
    begins = heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])
    return begins and (tails[0].endswith(tails[1]) or tails[1].endswith(tails[0]))
