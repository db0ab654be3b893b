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

from components.pii.kinds import KINDS, NAMES

WITHHELD = "…"
#: Packages whose string literals are the fixed text.
_OURS = ("components", "pipeline", "schemas")
#: Simulated people and places are literals of ours, but values of a data set.
#: Telling names of columns (`driver`, `patient`) are the values of others.
#: What runs where no row of a locale is (compiling, submitting, serving, rendering, alerting) speaks of no
#: row either, and its names (`driver`, `org`) are others' values.
#: `isthmus tune` tells its operator in the region alone, and nothing of a run calls it.
_NOT_TEXT = (
    "components/drift/glossary.py",
    "components/simulator",
    "components/pii/kinds.py",
    "components/tuner",
    "pipeline/alerts",
    "pipeline/commands/alert.py",
    "pipeline/commands/kubeflow_",
    "pipeline/commands/metrics.py",
    "pipeline/commands/tune.py",
    "pipeline/compiler",
    "pipeline/config/alerts",
    "pipeline/config/metrics",
    "pipeline/deployables",
    "pipeline/kfp_api",
    "pipeline/metrics",
    "pipeline/monitor_report/schema.py",
    "pipeline/serving",
    "pipeline/tune_",
    "pipeline/tuning",
)
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
#: A whole number that stands beside one of these counts or places something. Nothing else about a number
#: tells a count from a serial number or a reading, so the words are few and the digits are bounded: a bare
#: `of`, `and` or `code` says nothing. Rows are counted in millions, all else in thousands.
_PLACE = re.compile(r"\b(?:rows?|lines?|spans?|shards?|versions?|splits?)[ =-]$", re.IGNORECASE)
_ROWS = "rows?|values?|bytes|records?|examples|labelled"
_THINGS = (
    "columns?|files?|series|windows?|fields?|more|splits?|events?|releases?|locales?|rounds?|blocks?|"
    "time blocks|distinct|different|distinctive|are distinctive|verdicts|categories|characters|entries|"
    "artifacts|times|of train|of eval|of holdout|of synthetic"
)
_MANY = re.compile(rf"\s(?:of\s\d{{1,8}}\s)?(?:{_ROWS})\b")
_NOUN = re.compile(rf"\s(?:of\s\d{{1,6}}\s)?(?:{_THINGS})\b")
#: A limit of ours: an integer of this program, or what a setting that is named says.
_LIMIT = re.compile(r"\b(?:least|most|allowed|exactly|below|than)\s$", re.IGNORECASE)
_SETTING = re.compile(r"(?:\s\([a-z]+(?:_[a-z]+)+\))")
_STATUS = re.compile(r"\bcode[ =]-?$")
#: `about 1.1 times as many`: of two counts.
_FACTOR = re.compile(r"\d{1,3}\.\d")
_SHARE = re.compile(r"\d{1,3}(?:\.\d{1,2})?")
#: Most digits of a number of rows, of other counts, of a limit, and of an exit status.
_ROW_DIGITS, _COUNT_DIGITS, _LIMIT_DIGITS, _STATUS_DIGITS = 8, 6, 4, 3


@functools.cache
def _literals() -> tuple[frozenset[str], frozenset[str]]:
    """Words of this program's string literals and of its records' fields, and its integers of few digits.

    They are read from its source. Docstrings and other texts that stand alone are left out: they go into
    no message, and name examples.
    """
    words: set[str] = set()
    numbers: set[str] = set()
    for package in _OURS:
        spec = importlib.util.find_spec(package)
        for root in spec.submodule_search_locations or () if spec else ():
            for path in sorted(Path(root).rglob("*.py")):
                if any(part in path.as_posix() for part in _NOT_TEXT):
                    continue
                tree = ast.parse(path.read_text(encoding="utf-8"))
                alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
                for node in ast.walk(tree):
                    if isinstance(node, ast.ClassDef):
                        words |= _fields(node)
                    if not isinstance(node, ast.Constant) or id(node) in alone:
                        continue
                    if isinstance(node.value, str):
                        words |= set(_TOKEN.findall(node.value))
                    elif type(node.value) is int and len(str(node.value)) <= _LIMIT_DIGITS:
                        numbers.add(str(node.value))
    return frozenset(words), frozenset(numbers)


def _fields(record: ast.ClassDef) -> set[str]:
    """Names of a record's fields: they are keys of the report."""
    found = [item.target for item in record.body if isinstance(item, ast.AnnAssign)]
    return {target.id for target in found if isinstance(target, ast.Name)}


@functools.cache
def fixed_words() -> frozenset[str]:
    """Every word and short number of this program's messages."""
    found = set(_literals()[0])
    for text in (*TFDV_TEXTS, *SYSTEM_TEXTS, *(kind.name for kind in KINDS), *NAMES):
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
        if token.isdigit() and token.isascii() and _counts(token, before, after):
            return token
        if _FACTOR.fullmatch(token) and after.startswith(" times as many"):
            return token
        return token if after.startswith("%") and _SHARE.fullmatch(token) else WITHHELD

    judged = _TOKEN.sub(judge, flat)
    # `…-…-…` says no more than `…`, and its length would tell that of the name.
    return re.sub(rf"{WITHHELD}(?:[^\w\s{WITHHELD}]*{WITHHELD}|[ ]{WITHHELD})+", WITHHELD, judged)


def _counts(token: str, before: str, after: str) -> bool:
    """Whether a whole number counts, places or limits something, by the words beside it."""
    digits = len(token)
    if digits <= _ROW_DIGITS and (_PLACE.search(before) or _MANY.match(after)):
        return True
    if digits <= _COUNT_DIGITS and (_NOUN.match(after) or _SETTING.match(after)):
        return True
    if digits <= _STATUS_DIGITS and (_STATUS.search(before) or after.startswith("%")):
        return True
    return token in _literals()[1] and bool(_LIMIT.search(before))


def is_fixed(text: str) -> bool:
    """Whether a text holds our own words and numbers only."""
    fixed = fixed_words()
    return all(_is_ours(token, fixed) for token in _TOKEN.findall(text))


def _is_ours(token: str, fixed: frozenset[str]) -> bool:
    return token in fixed or ("_" in token and all(part in fixed for part in token.split("_") if part))
