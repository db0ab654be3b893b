"""What a step shows in KFP's pages: Markdown, HTML and metrics artifacts, and the notice that it leaves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.egress.words import outward
from components.executor_base import read_json, write_json
from components.version import __version__

#: Where the central report finds what: component, channel, the artifact's name in the spec.
_CENTRAL = (
    ("MergeGen", "merge_report", "mergegen-merge-report"),
    ("SkewValidator", "skew", "skewvalidator-skew"),
    ("ProphetEvaluator", "evaluation", "prophetevaluator-evaluation"),
    ("ProphetEvaluator", "blessing", "prophetevaluator-blessing"),
    ("ModelPusher", "pushed", "modelpusher-pushed"),
)


def region_notice(push: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """A region's notice from its `push.json`."""
    return {
        "zone": zone,
        "outcome": "pushed" if push.get("pushed") else str(push.get("outcome") or "not pushed"),
        "span": int(push.get("span") or 0),
        "release_id": str(push.get("release_id") or ""),
    }


def centre_notice(push: Mapping[str, Any], verdict: str) -> dict[str, Any]:
    """The centre's notice from its `push.json` and the detector's verdict."""
    return {
        "zone": "central",
        "outcome": "pushed" if push.get("pushed") else "not pushed",
        "verdict": verdict,
        "version": int(push.get("version") or 0),
    }


def region_summary(push: Mapping[str, Any], zone: str, names: frozenset[str], restricted: bool) -> str:
    """Markdown about a region's release; texts of a restricted locale are judged word by word."""
    reason = str(push.get("reason") or "")
    lines = [f"# {zone}: {'released' if push.get('pushed') else 'not released'}", ""]
    if reason:
        lines += [outward(reason, names) if restricted else reason, ""]
    facts = {
        "release": push.get("release_id"),
        "span": push.get("span"),
        "rows": push.get("rows"),
        "content digest": push.get("content_digest"),
    }
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| {key} | `{value}` |" for key, value in facts.items() if value not in (None, "")]
    return "\n".join(lines) + "\n"


def central_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Scores by scenario and detector, for KFP's comparison of runs; undefined ones are left out."""
    from pipeline.report.collect_centre import read_detection

    found: dict[str, float] = {}
    for score in read_detection(evaluation).scenarios:
        if score.overall is None:
            continue
        for name in ("f1", "tpr", "fpr", "accuracy"):
            value = getattr(score.overall, name).value
            if value is not None:
                found[f"{score.scenario}_{score.detector}_{name}"] = round(float(value), 6)
    return found


def central_report(told: Mapping[str, Any], artifacts: Mapping[str, Path], run: str, page: Path) -> str:
    """Writes the report of what the centre saw; returns its one sentence.

    The regions' own artifacts stay in the regions: of them it shows what their releases say.

    Args:
      told: What the step was told.
      artifacts: The centre's artifacts by name.
      run: The run's id.
      page: HTML file to write.
    """
    from pipeline.report.collect import collect
    from pipeline.report.render import render

    components: dict[str, dict[str, Any]] = {}
    for component, channel, name in _CENTRAL:
        if name in artifacts:
            entry = components.setdefault(component, {"id": component, "state": "executed", "outputs": {}})
            entry["outputs"][channel] = str(artifacts[name])
    record = {
        "run_id": run,
        "name": told["deployment"]["name"],
        "config_digest": told["deployment"]["config_digest"],
        "versions": {"isthmus": __version__},
        "locales": {},
        "central": {"status": "succeeded", "sharing": "central", "components": list(components.values())},
    }
    with tempfile.TemporaryDirectory(prefix="isthmus-report-") as folder:
        write_json(Path(folder) / "run.json", record)
        report = collect(Path(folder))
        render(report, Path(folder) / "report.html")
        shutil.copyfile(Path(folder) / "report.html", page)
    return report.verdict.sentence


def central_summary(sentence: str, metrics: Mapping[str, float]) -> str:
    """Markdown about the centre."""
    rows = [f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items()) if name.endswith("_f1")]
    return (
        "\n".join([f"# {sentence}", "", "| F1 by scenario and detector | |", "| --- | --- |", *rows]) + "\n"
    )


def verdict_in(folder: Path) -> str:
    """The verdict of a blessing's folder; empty where there is none."""
    file = folder / "verdict.json"
    return str(read_json(file).get("verdict", "")) if file.exists() else ""
