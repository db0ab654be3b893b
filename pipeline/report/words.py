"""The run in sentences, and numbers as a reader expects them."""

from __future__ import annotations

import datetime

from pipeline.report.model import Bounds, CentralReport, LocaleReport, RunHeader, Verdict

SCENARIO_NAMES = {
    "no_sharing": "No sharing",
    "naive_synthetic": "Naive synthetic",
    "isthmus": "Isthmus",
    "ideal": "Ideal",
}
SCENARIO_MEANINGS = {
    "no_sharing": "open locales only",
    "naive_synthetic": "per-column noise at the same timestamps",
    "isthmus": "what was released",
    "ideal": "raw data of all locales; a simulation only",
}
VERDICT_NAMES = {"BLESSED": "blessed", "NOT_BLESSED": "not blessed", "NOT_EVALUATED": "not evaluated"}
MISSING = "–"


def verdict_of(run: RunHeader, locales: tuple[LocaleReport, ...], central: CentralReport) -> Verdict:
    """What ran and how it ended, in one sentence, with what a reader should know beside it."""
    tone = {0: "good", 1: "bad", 2: "broken", 3: "broken"}.get(
        -1 if run.exit_status is None else run.exit_status, "unknown"
    )
    released = [item.locale for item in locales if item.push.content is not None and item.push.content.pushed]
    sentence = (
        f"{len(released)} of {len(locales)} {'locale' if len(locales) == 1 else 'locales'} released, "
        f"and {_detector_words(central)}; {_exit_words(run.exit_status)}."
    )
    details = [f"{item.locale} failed: {item.run.error}" for item in locales if item.run.status == "failed"]
    details += [
        f"{item.locale} was {item.run.status}."
        for item in locales
        if item.run.status in ("skipped", "not started")
    ]
    for item in locales:
        blessing = item.blessing.content
        if blessing is not None and blessing.verdict != "BLESSED":
            words = VERDICT_NAMES.get(blessing.verdict, blessing.verdict)
            details.append(_with_reasons(f"The release of {item.locale} was {words}", blessing.reasons))
    if central.run.status == "failed":
        details.append(f"The centre failed: {central.run.error}")
    merge = central.merge.content
    if merge is not None:
        details += [f"The centre refused a release of {item.locale}: {item.reason}" for item in merge.refused]
        if merge.missing:
            details.append(f"No release came from {', '.join(merge.missing)}.")
    detector = central.blessing.content
    if detector is not None and detector.verdict != "BLESSED":
        words = VERDICT_NAMES.get(detector.verdict, detector.verdict)
        details.append(_with_reasons(f"The detector was {words}", detector.reasons))
    # What the operator let pass comes first: whoever signs off a border must not overlook it.
    return Verdict(tone=tone, sentence=sentence, details=(*run.exceptions, *details))  # type: ignore[arg-type]


def _with_reasons(text: str, reasons: tuple[str, ...]) -> str:
    return f"{text}: {'; '.join(reasons[:3])}" if reasons else f"{text}."


def _detector_words(central: CentralReport) -> str:
    blessing = central.blessing.content
    if blessing is None:
        return "no detector was judged"
    return f"the detector was {VERDICT_NAMES.get(blessing.verdict, blessing.verdict)}"


def _exit_words(exit_status: int | None) -> str:
    words = {
        0: "every verdict was positive",
        1: "a verdict was negative (exit status 1)",
        2: "the input was wrong (exit status 2)",
        3: "something failed that should not (exit status 3)",
    }
    if exit_status is None:
        return "the run did not end"
    return words.get(exit_status, f"exit status {exit_status}")


def number(value: float | int | None, digits: int = 3) -> str:
    """A value with a fixed number of decimals; very small and very large ones in powers of ten."""
    if value is None:
        return MISSING
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    if value != 0 and not 10**-digits <= abs(value) < 1e6:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+").replace("e+", "e")
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def count(value: int | None) -> str:
    """A count with thousands separated."""
    return MISSING if value is None else f"{value:,}"


def percent(value: float | None, digits: int = 1) -> str:
    """A rate in [0, 1] as a percentage."""
    return MISSING if value is None else f"{100 * value:.{digits}f} %"


def bounds(value: Bounds | None, digits: int = 3) -> str:
    """`lo to hi`."""
    return MISSING if value is None else f"{number(value.lo, digits)} to {number(value.hi, digits)}"


def limits(value: tuple[float | None, float | None]) -> str:
    """The possible values of a metric: `0 to 1`, `0 or more`, `at most 1`; empty where unbounded."""
    lo, hi = (None if end is None else f"{end:g}".replace("-", "\N{MINUS SIGN}") for end in value)
    if lo is not None and hi is not None:
        return f"{lo} to {hi}"
    return f"{lo} or more" if lo is not None else f"at most {hi}" if hi is not None else ""


def duration(seconds: float | None) -> str:
    """`0.4 s`, `41 s`, `3 min 20 s`, `1 h 5 min`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(text: str) -> str:
    """An ISO time as `21 Nov 2026, 03:51 UTC`; what does not parse stays as it is."""
    try:
        parsed = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text or MISSING
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(datetime.timezone.utc)
    return f"{parsed.day} {parsed:%b %Y, %H:%M} UTC"


def scenario_name(key: str) -> str:
    """The scenario as people call it."""
    return SCENARIO_NAMES.get(key, key.replace("_", " ").capitalize())


def detector_name(key: str) -> str:
    """The detector as people call it."""
    return {
        "interval": "Prophet interval",
        "classifier": "Residual classifier",
        "tutorial": "Prophet interval, tutorial's rule",
    }.get(key, key.replace("_", " ").capitalize())


def plain(key: str) -> str:
    """A metric's name with spaces for underscores."""
    return key.replace("_", " ")


def short_digest(text: str) -> str:
    """The first twelve hex digits of a digest, without its algorithm."""
    return text.removeprefix("sha256:")[:12] or MISSING
