"""Tables and trees of the command line, made of what a run left on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from components.executor_base import read_json
from components.prophet_evaluator.config import SCENARIOS

_STATUS_STYLE = {
    "succeeded": "green",
    "failed": "red",
    "killed": "red",
    "skipped": "yellow",
    "not started": "yellow",
}
_VERDICT_STYLE = {"BLESSED": "green", "NOT_BLESSED": "red", "NOT_EVALUATED": "yellow"}


def status_table(status: dict[str, Any]) -> Table:
    """Table of a run's pipelines, from `pipeline.inspect.status`."""
    title = f"run {status['run_id']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("pipeline", "sharing", "status", "cached", "seconds", "verdict", "release"):
        table.add_column(column)
    for name, row in status["pipelines"].items():
        release = row["release"]
        table.add_row(
            name,
            row["sharing"],
            _styled(row["status"], _STATUS_STYLE),
            f"{row['cached']} of {row['components']}",
            f"{row['seconds']:.1f}",
            _styled(row["verdict"] or "", _VERDICT_STYLE),
            escape(str(release.get("release_id") or release.get("version") or release.get("reason") or "")),
        )
    # Of a run that was killed, or refused before its first locale, no row tells how it ended.
    table.caption, table.caption_justify, table.caption_style = escape(_ending(status)), "left", ""
    return table


def _ending(status: dict[str, Any]) -> str:
    if status["finished_at"]:
        return _exit_line(status)
    return str(status["exit_reason"] or status["state"])


def _exit_line(run: dict[str, Any]) -> str:
    """How a run (`run.json`, or `pipeline.inspect.status`) ended: exit status, and the reason if any."""
    return ": ".join(filter(None, (f"exit status {run['exit_status']}", run["exit_reason"])))


def lineage_tree(lineage: dict[str, Any]) -> Tree:
    """Tree from source data to detector, from `pipeline.inspect.lineage`."""
    tree = Tree(f"run {lineage['run_id']}  config {lineage['config_digest'][:12]}")
    detector = lineage["detector"]
    pushed = (
        "pushed to " + str(detector.get("uri")) if detector.get("pushed") else detector.get("reason", "none")
    )
    top = tree.add(escape(f"detector: {pushed}"))
    merge = lineage["merge"]
    for release in merge.get("accepted", []):
        branch = top.add(f"release {release['release_id']} of {release['locale']}, span {release['span']}")
        region = lineage["regions"].get(release["locale"], {})
        for component, outputs in region.get("artifacts", {}).items():
            uris = ", ".join(f"{key} {uri}" for key, uri in sorted(outputs.items()))
            branch.add(escape(f"{component}: {uris}"))
    for refused in merge.get("refused", []):
        tree.add(f"[red]refused[/] {escape(refused['locale'] + ': ' + refused['reason'])}")
    for missing in merge.get("missing", []):
        tree.add(f"[yellow]missing[/] {missing}")
    for line in merge.get("warnings", []):
        tree.add(f"[yellow]warning[/] {escape(line)}")
    revoked = lineage.get("revocations", {})
    for item in revoked.get("revoked", []):
        branch = tree.add(
            f"[red]revoked[/] {escape(item['release'])} by key {item['key_id']}: {escape(item['reason'])}"
        )
        for detector in item["detectors"]:
            branch.add(
                escape(f"built on it: {detector['name']} version {detector['version']} {detector['uri']}")
            )
        if not item["detectors"]:
            branch.add("no detector in the registry was built on it")
    for line in (*revoked.get("ignored", []), *revoked.get("unknown", [])):
        tree.add(f"[yellow]revocations[/] {escape(line)}")
    return tree


def print_outcome(folder: Path, console: Console) -> None:
    """Prints a line per locale, failures with their log, the scenario table, and why it ended as it did."""
    state = read_json(folder / "run.json")
    for name, section in {**state["locales"], "central": state["central"]}.items():
        if section["status"] == "failed":
            _print_line(console, f"{name}: {section['error']}", style="red")
            _print_line(console, f"  log: {section['log']}")
        elif section["status"] == "succeeded":
            _print_line(console, f"{name}: {_summary(section)}")
    for sentence in state.get("border", {}).get("exceptions", []):
        _print_line(console, f"note: {sentence}", style="yellow")
    evaluation = _evaluation(state)
    if evaluation:
        for table in scenario_tables(evaluation):
            console.print(table)
    if state.get("exit_reason"):
        _print_line(console, _exit_line(state))


def _print_line(console: Console, text: str, style: str | None = None) -> None:
    # Without markup: a message may hold brackets, such as `locales[0]` or a glob.
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def scenario_tables(evaluation: dict[str, Any]) -> list[Table]:
    """One scenario table per detector of a detector evaluation (`evaluation.json`); fits 80 columns."""
    tables = []
    confidence = f"{100 * evaluation['confidence']:g} % CI"
    for detector, what in (("interval", "Prophet interval"), ("classifier", "residual classifier")):
        title = f"{what}: {evaluation['n_test_rows']} test rows, {evaluation['n_events']} events"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("scenario", "F1", confidence, "TPR", "FPR", "acc.", "TP", "FP", "FN", "TN"):
            table.add_column(name, justify="left" if name == "scenario" else "right", no_wrap=True)
        for scenario in SCENARIOS:
            result = evaluation["scenarios"].get(scenario, {}).get(detector)
            if result is not None:
                table.add_row(scenario, *_cells(result))
        if table.row_count:
            tables.append(table)
    return tables


def _cells(result: dict[str, Any]) -> list[str]:
    overall = result.get("overall")
    if overall is None:
        return [str(result.get("reason") or result.get("note") or "not evaluated")]
    confusion = overall["confusion"]
    return [
        _number(overall["f1"]),
        _interval(overall["f1"]),
        *(_number(overall[key]) for key in ("tpr", "fpr", "accuracy")),
        *(str(confusion[key]) for key in ("tp", "fp", "fn", "tn")),
    ]


def _number(metric: dict[str, Any]) -> str:
    value = metric.get("value")
    return "undefined" if value is None else f"{value:.3f}"


def _interval(metric: dict[str, Any]) -> str:
    low, high = metric.get("lower"), metric.get("upper")
    return "" if low is None or high is None else f"{low:.2f}-{high:.2f}"


def _summary(section: dict[str, Any]) -> str:
    components = section["components"]
    cached = sum(component["state"] == "cached" for component in components)
    text = f"{len(components)} components ({cached} cached) in {section['seconds']:.0f} s"
    for component in components:
        uri = component["outputs"].get("pushed")
        if uri:
            push = read_json(Path(uri) / "push.json")
            text += f"; pushed {push['release_id']}" if push.get("pushed") and "release_id" in push else ""
            text += "" if push.get("pushed") else f"; nothing pushed: {push.get('reason')}"
    return text


def _evaluation(state: dict[str, Any]) -> dict[str, Any] | None:
    for component in state["central"]["components"]:
        uri = component["outputs"].get("evaluation")
        if uri and (Path(uri) / "evaluation.json").exists():
            return dict(read_json(Path(uri) / "evaluation.json"))
    return None


def _styled(text: str, styles: dict[str, str]) -> str:
    return f"[{styles[text]}]{text}[/]" if text in styles else text
