"""A message in plain words, line by line; Slack and e-mail dress it up."""

from __future__ import annotations

from datetime import datetime

from components.drift.glossary import CAUSE_TITLES
from pipeline.alerts.message import Item, Measured, Message, Notice
from pipeline.alerts.words import COMPARISON_WORDS, KIND_WORDS, MEASURE_WORDS, number

#: Kinds that tell of an end.
ENDS = ("resolved", "closed")


def headline(notice: Notice) -> str:
    """`eu-west: stuck sensor in battery_temp_c and 2 more`."""
    if notice.kind == "test":
        return "this is a test; nothing happened"
    first = notice.items[0].feature if notice.items else "(all)"
    more = f" and {notice.total - 1} more" if notice.total > 1 else ""
    return f"{notice.locale}: {CAUSE_TITLES[notice.cause]} in {first}{more}"


def subject(message: Message) -> str:
    """One line for a subject or a notification."""
    if message.test:
        return f"[Isthmus] [TEST] {message.deployment}: {headline(message.notices[0])}"
    state = message.kind if message.kind in ENDS else message.severity
    if message.kind == "digest":
        return f"[Isthmus] [{state}] {message.deployment}: {len(message.notices)} {KIND_WORDS['digest']}"
    first = message.notices[0]
    extra = f" ({KIND_WORDS[message.kind]})" if message.kind in ("escalated", "reminder") else ""
    return f"[Isthmus] [{state}] {headline(first)}{extra}"


def measured(item: Measured) -> str:
    """`Wasserstein distance 2.3 °C, threshold 0.5 °C, n 4032 and 4032`."""
    unit = f" {item.unit}" if item.unit else ""
    words = f"{MEASURE_WORDS[item.measure]} {number(item.value)}{unit}"
    if item.threshold is not None:
        named = "threshold" if item.rule == "number" else "noise limit"
        words += f", {named} {number(item.threshold)}{unit}"
    if item.rule == "noise" and item.alpha is not None:
        q = f", q = {number(item.q_value)}" if item.q_value is not None else ""
        words += f" at α = {number(item.alpha)}{q}"
    if item.n is not None:
        words += f", n {item.n}" + (f" and {item.n_baseline}" if item.n_baseline is not None else "")
    return words


def measures_of(item: Item) -> list[str]:
    """A line for each measure; one that says so where a fault was found without any."""
    if item.comparison == "intake":
        return ["not taken in, so that nothing was compared; the report says why"]
    return [measured(found) for found in item.measures] or [
        "found in the rows themselves; no distance passed"
    ]


def place_of(item: Item) -> str:
    """`temperature, split train: now against earlier (the span before)`."""
    split = "" if item.split == "(span)" else f", split {item.split}"
    against = f" ({item.against})" if item.against else ""
    return f"{item.feature}{split}: {COMPARISON_WORDS[item.comparison]}{against}"


def how_long(item: Item, ended: bool) -> str:
    """Since when, in spans and times."""
    spans = item.span - item.since_span + (0 if ended else 1)
    words = f"since span {item.since_span}"
    words += f" ({spans} span{'s' if spans != 1 else ''})" if spans > 0 else ""
    words += f", first told {moment(item.since)}"
    words += f", in the data since {item.begin}" if item.begin else ""
    words += f"; ended with span {item.span}" if ended else ""
    words += "" if item.judged else f"; not judged in this run, last in span {item.span}"
    words += "; comes and goes: told again only when it has stayed away" if item.flapping else ""
    return words


def owners_of(notice: Notice) -> str:
    """Names, or that there is none."""
    names = [name for owner in notice.owners for name in owner.names]
    return ", ".join(dict.fromkeys(names)) or "nobody is named in alerts.owners"


def standing(notice: Notice) -> str:
    """How the episode stands."""
    if notice.kind == "test":
        return ""
    if notice.open:
        many = f"{notice.open} findings hold" if notice.open > 1 else "1 finding holds"
        return f"Incident {notice.incident}, began {moment(notice.since)}: {many}"
    return f"Incident {notice.incident}, began {moment(notice.since)}: nothing of it holds any more"


def moment(text: str) -> str:
    """A time for people: UTC, to the minute."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
