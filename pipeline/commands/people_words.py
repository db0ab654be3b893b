"""The summary of a release, as an approver reads it."""

from __future__ import annotations

from typing import Any

from pipeline.commands.budget import forecast


def summary_words(summary: dict[str, Any]) -> list[str]:
    """What is to be decided, in lines: the release, its gate and metrics, what changed, the budget."""
    rows = ", ".join(f"{split} {count}" for split, count in sorted(summary["rows"].items()))
    lines = [
        f"{summary['kind']} rows: {rows}; {len(summary['columns'])} columns; {summary['bytes']} bytes in "
        f"{len(summary['files'])} files; content {summary['content_digest']}",
        *(f"privacy: {sentence}" for sentence in summary["privacy"]["sentences"]),
        *_gate_words(summary),
        *_change_words(summary),
    ]
    budget = summary["budget"]
    if budget is not None:
        counted = "infinite" if budget["counted"] is None else f"{budget['counted']:.4g}"
        lines.append(
            f"budget: epsilon {counted} of {budget['epsilon']:g} per {budget['unit']} with this release; "
            f"{forecast(budget)}"
        )
    return lines


def _gate_words(summary: dict[str, Any]) -> list[str]:
    gates = summary["gates"]
    if not gates:
        return ["gate: none"]
    counts = {
        word: sum(verdict == word for verdict in gates.values()) for word in sorted(set(gates.values()))
    }
    lines = ["gate: " + ", ".join(f"{count} {word}" for word, count in counts.items())]
    checks = ((summary["evaluation"] or {}).get("gate") or {}).get("checks") or []
    for check in checks:
        value, threshold = check.get("value"), check.get("threshold")
        if isinstance(value, (int, float)):
            limit = f" (threshold {threshold:g})" if isinstance(threshold, (int, float)) else ""
            lines.append(f"  {check.get('metric')}: {value:.4g}{limit}")
    return lines


def _change_words(summary: dict[str, Any]) -> list[str]:
    changes, last = summary["changes"], summary["last_release"]
    if changes is None or last is None:
        return [f"last release: {summary['last_note'] or 'none'}"]
    lines = [f"since release {last['release_id']} of span {last['span']}, {last['created_at']}:"]
    for what in ("rows", "gates", "metrics"):
        for name, change in changes[what].items():
            lines.append(f"  {what} {name}: {_value(change['before'])} -> {_value(change['after'])}")
    for what, names in changes["columns"].items():
        lines += [f"  columns {what}: {', '.join(names)}"] if names else []
    return lines if len(lines) > 1 else [f"{lines[0]} nothing changed"]


def _value(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
