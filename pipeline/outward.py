"""What the runner's own records say of a restricted locale: judged by the same lists as a release.

`run.json`, `isthmus status` and the report lie outside the locale's root. What a worker tells its parent,
what an error says, and what is read back from a locale's artifacts passes through here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from components.egress import lists
from components.egress.words import WITHHELD, outward, words_of
from components.errors import InternalError, IsthmusError
from pipeline.addresses import within
from pipeline.config.model import Deployment

#: Keys of the deployment file whose texts are values of rows, or people, and no names of columns.
_VALUES = ("mapping", "otherwise", "env", "alerts")


def public_words(deployment: Deployment) -> frozenset[str]:
    """The words of the deployment file, which both sides of the border have."""
    return words_of(_texts(deployment.model_dump(mode="json")))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [
            text
            for key, item in value.items()
            if key not in _VALUES
            for text in ([str(key)] if not isinstance(key, str) else [key]) + _texts(item)
        ]
    return [text for item in value for text in _texts(item)] if isinstance(value, (list, tuple)) else []


def error_text(error: IsthmusError, names: Collection[str], log: str = "") -> str:
    """An error of a restricted locale as it may leave: fixed text, places, counts.

    Args:
      error: Its message is one line of ours.
      names: `public_words`.
      log: Where the whole message is, inside the locale.
    """
    text = outward(str(error), names)
    return f"{text} (what is withheld here stands in {log})" if WITHHELD in text and log else text


def component(payload: Mapping[str, Any], root: str) -> dict[str, Any]:
    """What a worker tells of a component: listed fields; addresses below the pipeline's own root.

    Raises:
      InternalError: another field, or an address elsewhere.
    """
    _known(payload, lists.COMPONENT_FIELDS, "a component of run.json")
    for channel, address in (payload.get("outputs") or {}).items():
        if not within(str(address), root):
            raise InternalError(
                f"egress: output '{outward(str(channel))}' of a restricted locale lies outside its root"
            )
    return dict(payload)


def progress(stage: str, done: float, total: float, values: Mapping[str, float]) -> dict[str, Any]:
    """What a worker tells of its progress: a stage of ours, counts, and losses rounded to 4 digits."""
    return {
        "stage": stage if stage in lists.PROGRESS_STAGES else "working",
        "done": float(done),
        "total": float(total),
        "values": {outward(str(key)): float(f"{float(value):.4g}") for key, value in values.items()},
    }


def run_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """`run.json`, if nothing is in it that is on no list.

    Raises:
      InternalError: it holds another field.
    """
    _known(record, lists.RUN_FIELDS, "run.json")
    _known(record.get("versions") or {}, lists.VERSIONS, "run.json (versions)")
    for section in [*record.get("locales", {}).values(), record.get("central") or {}]:
        _known(section, lists.SECTION_FIELDS, "a section of run.json")
        for item in section.get("components", ()):
            _known(item, lists.COMPONENT_FIELDS, "a component of run.json")
        _governance(section.get("governance") or {})
        _known(section.get("refusal") or {}, lists.REFUSAL_FIELDS, "run.json (refusal)")
    return dict(record)


def _governance(found: Mapping[str, Any]) -> None:
    _known(found, lists.GOVERNANCE_FIELDS, "run.json (governance)")
    _known(found.get("budget") or {}, lists.BUDGET_FIELDS, "run.json (budget)")
    _known(found.get("approval") or {}, lists.APPROVAL_FIELDS, "run.json (approval)")
    for item in (found.get("approval") or {}).get("decisions", ()):
        _known(item, lists.DECISION_FIELDS, "run.json (decision)")


def _known(item: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    for key in item:
        if key not in known:
            raise InternalError(
                f"egress: {place} holds the field '{outward(str(key))}', which is on no list of what may "
                "leave; name it in components.egress.lists"
            )


def report_of(record: Any, names: Collection[str]) -> Any:
    """A locale's part of the report with every text judged; numbers are typed by the report's model.

    Args:
      record: JSON values of `pipeline.report.model.LocaleReport`.
      names: `public_words`.

    Returns:
      The same shape. Names of components, addresses of releases and digests stay as they are.
    """
    return _judged(record, names, _numbers(record.get("quality")))


#: Made by the runner, the Pusher or the policy (`who` decided `at` which time), not of rows. The
#: `sentences` of a privacy statement have left in the release's manifest.
_AS_IT_IS = frozenset(
    {"locale", "sharing", "id", "component", "state", "log", "uri", "release_id", "digest", "who", "at"}
    | {"sentences"}
)


def _judged(value: Any, names: Collection[str], numbers: Collection[str]) -> Any:
    if isinstance(value, str):
        return outward(value, names, numbers)
    if isinstance(value, Mapping):
        return {
            outward(str(key), names): item if key in _AS_IT_IS else _judged(item, names, numbers)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        # Several withheld names in a list become one.
        found = [_judged(item, names, numbers) for item in value]
        return [
            item
            for i, item in enumerate(found)
            if not (isinstance(item, str) and item in found[:i] and WITHHELD in item)
        ]
    return value


def _numbers(quality: Any) -> set[str]:
    """The metrics' numbers as texts quote them: they leave as numbers already."""
    found: set[str] = set()
    for evidence in ((quality or {}).get("content") or {}).get("evidence", ()):
        values = [evidence.get("value")]
        for check in evidence.get("checks", ()):
            values += [check.get("value"), check.get("threshold")]
        found |= {f"{value:{form}}" for value in values if value is not None for form in (".4g", "g")}
    return {text.lstrip("-") for text in found}


def below(root: str | Path, locale: str) -> str:
    """The folder of a locale."""
    return str(Path(root) / locale)
