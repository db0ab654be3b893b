"""Texts that leave a restricted locale: our own words and the deployment's names, nothing else.

A message is made inside the locale by code that has rows at hand, and an f-string of ours, of TFX, of
Beam or of the system may quote one. So a text is judged word by word on its way out. A word passes if it
stands in a string literal of this program (the fixed text of a message) or in the deployment file (a
place); a number passes if it is a literal too or counts something. What does not pass becomes `…`.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Collection, Iterable
from pathlib import Path

WITHHELD = "…"
#: Packages whose string literals are the fixed text.
_OURS = ("components", "pipeline", "schemas")
#: Simulated people and places are literals of ours, but values of a data set.
_NOT_TEXT = ("components/simulator",)
#: Short descriptions of TFDV's schema anomalies, which its library makes without values.
TFDV_TEXTS = (
    "Column dropped. New column. Multiple errors. Unexpected data type. Invalid domain type. Invalid UTF8 "
    "strings. Unexpected string values. Column is completely missing. Out-of-range values. Non-boolean "
    "values. Feature coverage is too low. Float feature has NaN values. Float feature has Inf values. "
    "High Linfty distance between current and previous. Low number of unique values. High number of unique "
    "values. Low num examples in dataset. High num examples in dataset. Feature shape dropped. Empty split. "
    "Superfluous values. Missing values. Low supported image fraction. Column missing in environment.",
)
#: What the system says of files and memory (`os.strerror`), without the file's name.
SYSTEM_TEXTS = (
    "No such file or directory. Permission denied. Is a directory. Not a directory. File exists. No space "
    "left on device. Read-only file system. Too many open files. Connection refused. Connection reset by "
    "peer. Timed out. Input/output error. Cannot allocate memory. Disk quota exceeded. File name too long.",
)

_TOKEN = re.compile(r"[^\W\d_]\w*|_\w+|\d\w*(?:[.,:]\d\w*)*|…")
#: A whole number that follows one of these, or is followed by one of those, counts or places something.
_BEFORE = re.compile(
    r"(?:\b(?:row|rows|span|shard|line|version|split|of|least|most|allowed|exactly|expected|code|least)"
    r"[ =:#]{0,2}|\band )$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\s(?:of|rows?|values?|columns?|files?|bytes|series|windows?|records?|fields?|more|splits?|events?|"
    r"releases?|locales?|rounds?|examples|blocks?|distinct|different|verdicts|data|labelled)\b|%"
)
_COUNT = re.compile(r"\d{1,9}")
_SHARE = re.compile(r"\d{1,3}(?:\.\d{1,2})?")


@functools.cache
def fixed_words() -> frozenset[str]:
    """Every word and number of the string literals of this program, read from its source."""
    found: set[str] = set()
    for package in _OURS:
        spec = importlib.util.find_spec(package)
        for root in spec.submodule_search_locations or () if spec else ():
            for path in sorted(Path(root).rglob("*.py")):
                if any(part in path.as_posix() for part in _NOT_TEXT):
                    continue
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        found |= set(_TOKEN.findall(node.value))
    for text in (*TFDV_TEXTS, *SYSTEM_TEXTS):
        found |= set(_TOKEN.findall(text))
    # The names of exception types say what went wrong; they are no data.
    found |= {
        name
        for name, kind in vars(__import__("builtins")).items()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    # `membership_auc_{unit}` is put together from words of ours.
    found |= {part for word in found for part in word.split("_") if part}
    # Long numbers among our literals (a date, a seed) could be somebody's value just as well.
    return frozenset(word for word in found if not word[0].isdigit() or len(word) <= 3)


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of names that are public already, such as those of the deployment file."""
    return frozenset(word for text in texts for word in _TOKEN.findall(text))


def outward(text: str, names: Collection[str] = (), numbers: Collection[str] = ()) -> str:
    """A text as it may leave: what is neither fixed, nor a name, nor a count, becomes `…`.

    Args:
      text: One message; line breaks become spaces.
      names: Words of the deployment (`words_of`).
      numbers: Numbers that leave elsewhere already, as they are written here.
    """
    flat = " ".join(text.split())
    fixed = fixed_words()

    def judge(match: re.Match[str]) -> str:
        token = match.group()
        if _is_ours(token, fixed) or token in names or token in numbers:
            return token
        before, after = flat[: match.start()], flat[match.end() :]
        if _COUNT.fullmatch(token) and (_BEFORE.search(before) or _AFTER.match(after)):
            return token
        return token if after.startswith("%") and _SHARE.fullmatch(token) else WITHHELD

    judged = _TOKEN.sub(judge, flat)
    # `…-…-…` says no more than `…`, and its length would tell that of the name.
    return re.sub(rf"{WITHHELD}(?:[^\w\s{WITHHELD}]*{WITHHELD}|[ ]{WITHHELD})+", WITHHELD, judged)


def is_fixed(text: str) -> bool:
    """Whether a text holds our own words and numbers only."""
    fixed = fixed_words()
    return all(_is_ours(token, fixed) for token in _TOKEN.findall(text))


def _is_ours(token: str, fixed: frozenset[str]) -> bool:
    return token in fixed or ("_" in token and all(part in fixed for part in token.split("_") if part))
