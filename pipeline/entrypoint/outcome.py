"""The last task of a run: who came to the end, who did not, and what the centre decided."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from components.release.options import StorageOptions
from pipeline.entrypoint import notices

MISSING = "did not come to its end"
COMPLETE = "complete"
#: The zone that the report's own notice is of; no locale's name begins so.
REPORT = "_report"


def gather(told: Mapping[str, Any], run: str) -> list[dict[str, Any]]:
    """One entry per zone: its notice, or that there is none.

    Args:
      told: `zones` (name and sharing), `exchange` and `storage`.
      run: The run's id.

    Raises:
      DataError: the exchange cannot be read.
    """
    found = notices.read(told["exchange"], StorageOptions.model_validate(told["storage"]), run)
    return [
        {"sharing": sharing, **found.get(zone, {"zone": zone, "outcome": MISSING})}
        for zone, sharing in told["zones"]
    ]


def doubt(run: str) -> str:
    """What a reader must know where the back end gave the run no id; "" where it did."""
    if notices.is_named(run):
        return ""
    return "The back end gave this run no id: what is said of a zone may be of an earlier run."


def sentence(zones: list[dict[str, Any]]) -> str:
    """The run in one sentence."""
    regions = [zone for zone in zones if zone["sharing"] != "central"]
    pushed = [zone for zone in regions if zone["outcome"] == "pushed"]
    missing = [zone["zone"] for zone in zones if zone["outcome"] == MISSING]
    words = [f"{len(pushed)} of {len(regions)} regions released"]
    for zone in zones:
        if zone["sharing"] == "central" and zone["outcome"] != MISSING:
            words.append(f"the detector is {zone.get('verdict') or 'without a verdict'}")
    others = sorted({zone["outcome"] for zone in regions} - {"pushed", MISSING})
    for outcome in others:
        words.append(
            f"{outcome}: {', '.join(zone['zone'] for zone in regions if zone['outcome'] == outcome)}"
        )
    if missing:
        words.append(f"failed: {', '.join(missing)}")
    return "; ".join(words)


def notice(zones: list[dict[str, Any]]) -> dict[str, Any]:
    """The report's own notice: whether the centre, where there is one, came to its end."""
    centre = [zone for zone in zones if zone["sharing"] == "central"]
    failed = any(zone["outcome"] == MISSING for zone in centre)
    return {"zone": REPORT, "outcome": MISSING if failed else COMPLETE}


def markdown(name: str, zones: list[dict[str, Any]], doubt: str = "") -> str:
    """The table for KFP's page."""
    lines = [
        f"# {name}: {sentence(zones)}",
        *(["", doubt] if doubt else []),
        "",
        "| zone | sharing | outcome | span | release or version |",
    ]
    lines.append("| --- | --- | --- | --- | --- |")
    for zone in zones:
        what = zone.get("release_id") or (f"version {zone['version']}" if zone.get("version") else "")
        outcome = zone["outcome"] if not zone.get("verdict") else f"{zone['outcome']} ({zone['verdict']})"
        lines.append(f"| {zone['zone']} | {zone['sharing']} | {outcome} | {zone.get('span', '')} | {what} |")
    if any(zone["outcome"] == MISSING for zone in zones):
        lines += ["", f"A zone that {MISSING} failed, or was never started: its tasks in this run say why."]
    return "\n".join(lines) + "\n"


def page(name: str, zones: list[dict[str, Any]], doubt: str = "") -> str:
    """The same as a page without any request to elsewhere."""
    rows = "".join(
        "<tr{}><th scope=row>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>".format(
            " class=missing" if zone["outcome"] == MISSING else "",
            *(
                html.escape(str(text))
                for text in (
                    zone["zone"],
                    zone["sharing"],
                    zone["outcome"] + (f" ({zone['verdict']})" if zone.get("verdict") else ""),
                    zone.get("span", ""),
                    zone.get("release_id") or zone.get("version") or "",
                )
            ),
        )
        for zone in zones
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(name)}</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1a1a1a;background:#fff}"
        "table{border-collapse:collapse}th,td{padding:.35rem .9rem;text-align:left;"
        "border-bottom:1px solid #ccc}.missing{background:#fde8e8}</style>"
        f"<h1>{html.escape(name)}</h1><p>{html.escape(sentence(zones))}</p><p>{html.escape(doubt)}</p>"
        "<table><thead><tr>"
        "<th scope=col>zone<th scope=col>sharing<th scope=col>outcome<th scope=col>span"
        f"<th scope=col>release or version</tr></thead><tbody>{rows}</tbody></table></html>\n"
    )
