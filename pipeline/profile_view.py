"""What `isthmus profile` shows: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: Title, header and rows of a table.
Row = tuple[str, ...]
Part = tuple[str, Row, list[Row]]


def show(answer: dict[str, Any], console: Console) -> None:
    """Prints what `pipeline.profiling.profile_locale` found."""
    console.print(escape(answer["notice"]), style="bold", highlight=False, soft_wrap=True)
    for line in _head(answer):
        console.print(escape(line), highlight=False, soft_wrap=True)
    for title, header, rows in _parts(answer):
        if console.is_terminal:
            table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
            for name in header:
                table.add_column(name, overflow="fold")
            for row in rows:
                table.add_row(*map(escape, row))
            console.print(table)
            continue
        for row in rows:
            told = ", ".join(f"{name} {cell}" for name, cell in zip(header[1:], row[1:]) if cell)
            console.print(escape(f"{title}: {row[0]}: {told}"), highlight=False, soft_wrap=True)
    for line in _end(answer):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _head(answer: dict[str, Any]) -> list[str]:
    rows, cadence = answer["rows"], answer["cadence"]
    lines = [
        f"locale {answer['locale']}, span {answer['span']}: {rows['read']:,} rows read, "
        f"{rows['set_aside']:,} set aside, {rows['profiled']:,} profiled, "
        f"{rows['train']:,} to train on, {rows['labelled']:,} labelled",
        f"cadence: {cadence['series']} series over {cadence['days']:.1f} days, median step "
        f"{_seconds(cadence['median_step_s'])} (configured {_seconds(cadence['interval_s'])}), "
        f"{cadence['irregular']:.1%} of the steps irregular, {cadence['gaps']:,} gaps, the longest "
        f"{_seconds(cadence['longest_gap_s'])}, {cadence['covered']:.1%} of the grid covered",
    ]
    if answer["columns_not_read"]:
        lines.append(f"columns of the source that are not read: {', '.join(answer['columns_not_read'])}")
    return [*lines, *(f"REMARK: isthmus run would refuse this: {text}" for text in answer["remarks"])]


def _parts(answer: dict[str, Any]) -> list[Part]:
    parts: list[Part] = []
    header: Row = (
        "column",
        "kind",
        "different",
        "missing",
        "longest gap",
        "daily",
        "weekly",
        "drift",
        "remembers",
        "modelled as",
    )
    rows: list[Row] = []
    for column in answer["columns"]:
        course = column["course"] or {}
        drift = ""
        if course.get("drift") is not None:
            drift = f"{course['drift']:.2f} ({course['drifting']} of {course['tested']} series)"
        rows.append(
            (
                column["name"],
                column["kind"],
                f"{column['distinct']:,}",
                f"{column['missing']:.2%}",
                _seconds(column["longest_gap_s"]),
                _share(course.get("daily")),
                _share(course.get("weekly")),
                drift,
                _seconds(course.get("correlation_s")),
                column["modelled_as"],
            )
        )
    parts.append(("column", header, rows))
    if answer["labels"]:
        kinds: list[Row] = [
            (
                kind["name"],
                str(kind["events"]),
                f"{kind['rows']:,}",
                _seconds(kind["median_s"]),
                _seconds(kind["longest_s"]),
                str(kind["series"]),
                "fewer than 10 windows" if kind["rare"] else "",
            )
            for kind in answer["labels"]
        ]
        parts.append(("label", ("kind", "events", "rows", "median", "longest", "series", "rare"), kinds))
    if answer["risks"]:
        risks: list[Row] = [
            (risk["column"], risk["risk"], risk["detail"], risk["remedy"]) for risk in answer["risks"]
        ]
        parts.append(("risk", ("column", "risk", "found", "remedy"), risks))
    if answer["proposal"] is not None:
        settings: list[Row] = [
            (
                setting["key"],
                str(setting["value"]),
                "changed" if setting["departs"] else "default",
                str(setting["now"]) if setting["now"] != setting["value"] else "",
                setting["reason"],
            )
            for setting in answer["proposal"]["settings"]
        ]
        parts.append(("proposal", ("key", "value", "against", "now", "reason"), settings))
    return parts


def _end(answer: dict[str, Any]) -> list[str]:
    if answer["proposal"] is None:
        return ["proposal: none, the locale is open and has no synthesizer"]
    lines = [f"WARNING: {text}" for text in answer["proposal"]["warnings"]]
    cost, fidelity = answer["expected"]["cost"], answer["expected"]["fidelity"]
    if cost:
        factor = "beyond the sizes that were measured, so roughly"
        if cost["within_factor"]:
            factor = f"each within a factor of {cost['within_factor']}"
        lines.append(
            f"expected cost of a training: {cost['cpu_minutes']:.1f} processor minutes, "
            f"{cost['peak_memory_mb']:,} MB, {factor}"
        )
    if fidelity["like"]:
        bands = ", ".join(
            f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in fidelity["bands"].items()
        )
        lines.append(f"expected fidelity, as measured on {fidelity['like']} ({fidelity['reason']}): {bands}")
    else:
        lines.append(f"expected fidelity: {fidelity['reason']}")
    return lines


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _seconds(value: float | None) -> str:
    """A duration with a unit that keeps it short."""
    if value is None:
        return ""
    for unit, seconds in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if value >= 2 * seconds:
            return f"{value / seconds:.3g} {unit}"
    return f"{value:.3g} s"
