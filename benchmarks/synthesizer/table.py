"""The tables of generators, from results: means with intervals over seeds, who copies, who is ahead."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.synthesizer import recall
from benchmarks.synthesizer.intervals import COPYING, against, copying, interval, leader
from benchmarks.synthesizer.runners import OURS, RUNNERS
from benchmarks.synthesizer.store import Result

REAL = "real"
#: Key, title, the bound that is aimed at (None: none), whether more is better, decimals.
Column = tuple[str, str, float | None, bool, int]
FIDELITY: tuple[Column, ...] = (
    ("marginal", "marginal", 0.965, True, 3),
    ("worst", "worst col.", 0.91, True, 3),
    ("pair", "pair corr.", 0.98, True, 3),
    ("acf", "ACF err.", 0.05, False, 3),
    ("acf_local", "local ACF", 0.14, False, 3),
    ("step", "step KS", 0.95, True, 3),
    ("tstr_ratio", "TSTR/real", 0.187 / 0.181, False, 3),
    ("auc", "GRU AUC", 0.70, False, 3),
    ("alone", "analogue KS", 0.957, True, 3),
    ("alone_acf", "its ACF err.", 0.08, False, 3),
    ("recall_kept", "recall kept", recall.WANTED, True, 3),
)
COST: tuple[Column, ...] = (
    ("excess", "membership", 0.01, False, 3),
    ("excess_row", "by row", 0.01, False, 3),
    ("copied", "copied rows", None, False, 3),
    ("fit_cpu_s", "fit CPU s", 85.0, False, 1),
    ("rows_per_cpu_s", "rows/CPU s", 300_000.0, True, 0),
    ("peak_mb", "peak MB", None, False, 0),
)
#: Without a bound: none is asked for.
LONG_RANGE: tuple[Column, ...] = (
    ("long_day", "day", None, False, 3),
    ("long_week", "week", None, False, 3),
    ("long_acf", "long ACF", None, False, 3),
    ("long_series", "series", None, False, 3),
    ("long_level", "levels", None, True, 3),
    ("long_spread", "spreads", None, True, 3),
    ("long_dwell", "dwell", None, True, 3),
    ("long_changes", "changes", None, False, 3),
    ("long_nulls", "nulls", None, False, 3),
    ("long_null_runs", "null runs", None, True, 3),
    ("long_null_pairs", "null pairs", None, False, 3),
    ("long_event_ratio", "event mean", None, False, 3),
    ("long_events", "events", None, True, 3),
)
COPIES = "†"
COPYING_KEYS = tuple(key for key, _ in COPYING)

#: Generator to its results, seeds in order.
Found = Mapping[str, Sequence[Result]]


def values(runs: Sequence[Result], key: str) -> list[float]:
    """A measure, seed by seed."""
    return [run.measures[key] for run in runs if key in run.measures]


def ordered(found: Found) -> list[str]:
    """Real first, then generators as `RUNNERS` has them, ours last."""
    return [name for name in (REAL, *RUNNERS) if name in found]


def copies(runs: Sequence[Result]) -> list[str]:
    """As `intervals.copying`; nothing for real rows."""
    return [] if runs and runs[0].generator == REAL else copying([run.measures for run in runs])


def verdict(found: Found, column: Column) -> str:
    """How ours stands in a column among the generators that copy nothing.

    Of a measure of copying the bound alone counts: below it, less is no better.
    """
    key, _, bound, more, _ = column
    own = values(found.get(OURS, ()), key)
    if key in COPYING_KEYS:
        mean = interval(own)
        return "" if bound is None or mean is None else "kept" if mean.mean <= bound else "missed"
    rivals = {
        name: rows
        for name in ordered(found)
        if name not in (REAL, OURS) and not copies(found[name]) and (rows := values(found[name], key))
    }
    if not own or not rivals:
        return ""
    words: dict[str, list[str]] = {"ahead": [], "behind": [], "even": [], "unsure": []}
    for name, rows in rivals.items():
        words[against(own, rows, more)].append(name)
    if words["behind"]:
        return f"behind {', '.join(words['behind'])}"
    if words["unsure"]:
        sign = 1 if more else -1
        better = [name for name in rivals if sign * (fmean(rivals[name]) - fmean(own)) > 0]
        return f"{', '.join(better)} better, seeds too few" if better else "first, seeds too few"
    return f"even with {', '.join(words['even'])}" if words["even"] else "ahead of all"


def render(
    data: str, found: Found, columns: Sequence[Column], stale: Collection[str] = (), about: str = ""
) -> str:
    """Markdown: a row per generator, then what is wanted, who is ahead, and how ours stands.

    Args:
      data: The data set.
      found: Its results.
      columns: Which ones; those that nobody has are left out, and without one there is no table.
      stale: Generators with a result of other code or data than there is now.
      about: What the table is about, put after the data set.
    """
    used = [column for column in columns if any(values(runs, column[0]) for runs in found.values())]
    if not used:
        return ""
    arrows = " | ".join(f"{title} {'↑' if more else '↓'}" for _, title, _, more, _ in used)
    lines = [f"| {data}{about} | seeds | {arrows} |", "| --- |" + " --- |" * (len(used) + 1)]
    for name in ordered(found):
        runs = found[name]
        cells = [_cell(values(runs, column[0]), column, len(runs), name == REAL) for column in used]
        title = name + (f" {COPIES}" if copies(runs) else "") + (" (stale)" if name in stale else "")
        lines.append(f"| {title} | {len(runs)} | " + " | ".join(cells) + " |")
    bounds = [f"{'≥' if more else '≤'} {bound:,.{d}f}" if bound else "" for _, _, bound, more, d in used]
    lines += ["| *wanted* | | " + " | ".join(bounds) + " |"] if any(bounds) else []
    honest = {name: runs for name, runs in found.items() if name != REAL and not copies(runs)}
    first = [
        "" if c[0] in COPYING_KEYS else leader({n: values(r, c[0]) for n, r in honest.items()}, c[3]) or ""
        for c in used
    ]
    lines.append("| *ahead of every other* | | " + " | ".join(first) + " |")
    if OURS in found:
        own = [verdict(found, column) for column in used]
        lines.append("| *ours* | | " + " | ".join(own) + " |")
    return "\n".join(lines)


def tables(data: str, found: Found, stale: Collection[str] = ()) -> list[str]:
    """A data set's tables, as `render` has them: fidelity, long range, cost; without those that are empty."""
    kinds = ((FIDELITY, ""), (LONG_RANGE, ": long range"), (COST, ""))
    drawn = (render(data, found, columns, stale, about) for columns, about in kinds)
    return [text for text in drawn if text]


def _cell(own: Sequence[float], column: Column, seeds: int, real: bool) -> str:
    _, _, bound, more, decimals = column
    found = interval(own)
    if found is None:
        return ""
    text = f"{found.mean:,.{decimals}f}"
    met = bound is not None and (found.mean >= bound if more else found.mean <= bound)
    text = f"**{text}**" if met and not real else text
    spread = "" if found.half is None else f" ± {found.half:,.{decimals}f}"
    return text + spread + (f" ({found.n})" if found.n != seeds else "")


def facts(found: Mapping[str, Found]) -> list[str]:
    """What was used: versions, settings, machines, days and the code of ours, a line each."""
    lines, runs = [], [run for own in found.values() for rows in own.values() for run in rows]
    for name in (*RUNNERS, REAL):
        own = [run for run in runs if run.generator == name]
        told = sorted({" ".join(f"{k} {v}" for k, v in sorted(run.versions.items())) for run in own})
        used = sorted({", ".join(f"{k}: {v}" for k, v in run.settings.items()) for run in own})
        if own and name != REAL:
            code = sorted({run.digests.made for run in own})
            parts = [*(part for part in (*used, *told) if part), f"code {', '.join(code)}"]
            lines.append(f"- {name}: {'; '.join(parts)}.")
    days, places = sorted({run.day for run in runs}), sorted({run.machine for run in runs})
    if runs:
        lines.append(f"- Measured from {days[0]} to {days[-1]} on: {'; '.join(places)}.")
    return lines


def copying_note(found: Mapping[str, Found]) -> str:
    """Which generators are marked as copying, where, and by which measure; empty where none is."""
    titles = {column[0]: column[1] for column in COST}
    named = [
        f"{name} on {data} ({', '.join(titles[key] for key in keys)})"
        for data, own in found.items()
        for name in ordered(own)
        if (keys := copies(own[name]))
    ]
    return (
        f"{COPIES} copies training rows, and is left out where it is said who is ahead: {'; '.join(named)}."
        * bool(named)
    )


def document(found: Mapping[str, Found]) -> str:
    """All tables with what was used, as Markdown."""
    parts = []
    for data, own in found.items():
        first = next(iter(own.values()))[0]
        parts.append(
            f"**{data}**: {first.rows['train']:,} training rows of a period of {first.rows['period']:,}."
        )
        parts += tables(data, own)
        kinds = recall.render(data, {name: [run.measures for run in own[name]] for name in ordered(own)})
        parts += [kinds] if kinds else []
    parts += [note] if (note := copying_note(found)) else []
    if not any(values(runs, "auc") for own in found.values() for runs in own.values()):
        parts.append("TSTR and GRU AUC were not measured (`--quick`).")
    return "\n\n".join([*parts, "\n".join(facts(found))])


BEGIN = "<!-- results: written by `python -m benchmarks.synthesizer --table docs` -->"
END = "<!-- results: end -->"


def into_page(page: Path, text: str) -> None:
    """Puts a text between the page's marks.

    Raises:
      ValueError: the page has no such marks.
    """
    whole = page.read_text()
    if BEGIN not in whole or END not in whole:
        raise ValueError(f"{page.name} has no marks {BEGIN!r} and {END!r}")
    before, rest = whole.split(BEGIN, 1)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


def on_page(page: Path) -> str:
    """The text between the page's marks."""
    return page.read_text().split(BEGIN, 1)[1].split(END, 1)[0].strip()
