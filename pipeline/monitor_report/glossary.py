"""What each measure is, from `components.drift.glossary`, as the pages show it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.drift.findings import MEASURES, Measure

_MODULE = "components.drift.glossary"


@dataclass(frozen=True)
class Entry:
    """One measure, in texts that may be empty.

    Attributes:
      measure: Its key.
      name: As people call it.
      words: What it says, in a sentence.
      formula: In one line of plain characters.
      range: Its possible values.
      worrying: Which value is.
      source: Paper or upstream document.
    """

    measure: Measure
    name: str
    words: str = ""
    formula: str = ""
    range: str = ""
    worrying: str = ""
    source: str = ""


def glossary() -> dict[Measure, Entry]:
    """An entry for each measure that the glossary explains; none where this build has no glossary."""
    try:
        module = importlib.import_module(_MODULE)
    except ModuleNotFoundError as error:
        if error.name != _MODULE:
            raise
        return {}
    known: Mapping[str, Any] = module.GLOSSARY
    return {measure: _entry(measure, known[measure]) for measure in MEASURES if measure in known}


def used(entries: Mapping[Measure, Entry], measures: Iterable[Measure]) -> list[Entry]:
    """The entries of the measures that a page shows, in the order of `MEASURES`."""
    wanted = set(measures)
    return [entries[measure] for measure in MEASURES if measure in wanted and measure in entries]


def _entry(measure: Measure, found: Any) -> Entry:
    texts = {name: str(getattr(found, name)) for name in ("formula", "range", "worrying", "source")}
    return Entry(measure=measure, name=found.title, words=found.meaning, **texts)
