"""Writes a run's monitoring as HTML pages that ask for nothing from anywhere, and as their twins.

The look, the content security policy and the drawing of pictures are those of `pipeline.report`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import jinja2

from components.drift.findings import MEASURES, MonitorReport, MonitorRun
from components.drift.glossary import GLOSSARY
from components.errors import InternalError
from components.executor_base import write_atomically
from pipeline.monitor_report import anomalies, plots, views, words
from pipeline.monitor_report.junit import junit_xml
from pipeline.monitor_report.outward_view import outward_view, own_part
from pipeline.monitor_report.pictures import Pictures
from pipeline.monitor_report.spans import History, history_of
from pipeline.monitor_report.summary import summary_markdown
from pipeline.report.render import page_environment, style_sheet, without_blank_lines

PAGE, TWIN, JUNIT, SUMMARY, FOLDER = "monitor.html", "monitor.json", "junit.xml", "summary.md", "monitor"
_PACKAGE = "pipeline.monitor_report"


def write(
    run: MonitorRun, folder: Path, *, history: Sequence[MonitorRun] = (), names: Collection[str] = ()
) -> Path:
    """Writes what may lie outside the locales: the run's page, one page per zone, and the twins.

    Args:
      run: From `collect`; only its `outward_view` is written.
      folder: Of the run. Gets `monitor.html`, `monitor.json`, `junit.xml`, `summary.md`, and for every zone
        `monitor/<zone>.html`, `monitor/<zone>/anomalies.pbtxt` and `SchemaDiff.pb`, by split.
      history: Earlier runs, the oldest first, for the heat map; from their `monitor.json`.
      names: Words of the deployment file, as for `outward_view`.

    Returns:
      Path of the run's page, which is written last.

    Raises:
      InternalError: the name of a zone or a split is no name of a file.
    """
    folder = Path(folder)
    shown = outward_view(run, names)
    # Of earlier runs only verdicts, ratios and names of causes are shown.
    lined_up = history_of(shown, history)
    pictures = Pictures()
    for report in shown.reports:
        _check_names(report)
        part = own_part(shown, report.zone)
        place = folder / FOLDER
        write_atomically(
            place / f"{report.zone}.html", render_html(part, lined_up, pictures=pictures, up=f"../{PAGE}")
        )
        anomalies.write_anomalies(report, place / report.zone)
    _write_twins(shown, folder, lined_up)
    write_atomically(folder / PAGE, render_html(shown, lined_up, pictures=pictures, parts=True))
    return folder / PAGE


def write_own(run: MonitorRun, zone: str, folder: Path, *, history: Sequence[MonitorRun] = ()) -> Path:
    """Writes what stays in a locale: its own part whole, with distributions and time lines.

    Args:
      run: From `collect`, with the zone's report whole.
      zone: The locale.
      folder: Below the locale's root. Gets the files of `write` without `monitor/`; the anomalies of each
        split lie in the folder itself.
      history: As for `write`.

    Returns:
      Path of the page.

    Raises:
      InternalError: the run has no report of the zone; the name of a split is no name of a file.
    """
    folder = Path(folder)
    shown = own_part(run, zone)
    _check_names(shown.reports[0])
    lined_up = history_of(shown, [_only(earlier, zone) for earlier in history])
    anomalies.write_anomalies(shown.reports[0], folder)
    _write_twins(shown, folder, lined_up)
    write_atomically(folder / PAGE, render_html(shown, lined_up, own=True))
    return folder / PAGE


def render_html(
    run: MonitorRun,
    history: History,
    *,
    pictures: Pictures | None = None,
    parts: bool = False,
    own: bool = False,
    up: str = "",
) -> str:
    """One page as text. The same arguments give the same text.

    Args:
      run: All that the page may show.
      history: From `history_of`.
      pictures: Those drawn already for other pages of the run.
      parts: Whether the pages of the zones lie beside it in `monitor/`.
      own: Whether it is a page that stays in its locale.
      up: Address of the run's page, for a zone's page.
    """
    items = views.items_of(run, history)
    cards = views.cards_of(items)
    heat, heat_left_out = views.heat_rows(items)
    shown = pictures or Pictures()
    shown_measures = {item.measure for found in items for item in found.finding.measurements}
    text = (
        _environment()
        .get_template("monitor.html.j2")
        .render(
            run=run,
            css=style_sheet() + style_sheet(_PACKAGE, "monitor.css"),
            alerts=[item for item in items if item.finding.verdict == "ALERT"],
            undefined=[item for item in items if item.finding.verdict == "UNDEFINED"],
            items=items,
            cards=cards,
            carded={item.anchor for item in cards},
            heat=heat,
            heat_left_out=heat_left_out,
            spans=history.spans,
            anomaly_rows=[(report, row) for report in run.reports for row in anomalies.table_rows(report)],
            glossary=GLOSSARY,
            measures=[measure for measure in MEASURES if measure in shown_measures],
            draw=shown.of,
            parts=parts,
            own=own,
            up=up,
        )
    )
    return without_blank_lines(text)


def _environment() -> jinja2.Environment:
    environment = page_environment(_PACKAGE)
    environment.globals.update(views=views, words=words, held_against=plots.held_against)
    environment.filters.update(
        capitalize_first=lambda text: text[:1].upper() + text[1:],
        correction_name=lambda key: "-".join(part.capitalize() for part in key.split("_")),
    )
    return environment


def _write_twins(run: MonitorRun, folder: Path, history: History) -> None:
    write_atomically(folder / TWIN, run.model_dump_json(indent=1) + "\n")
    write_atomically(folder / JUNIT, junit_xml(run))
    write_atomically(folder / SUMMARY, summary_markdown(run, history))


def _only(run: MonitorRun, zone: str) -> MonitorRun:
    return run.model_copy(
        update={"reports": tuple(report for report in run.reports if report.zone == zone), "missing": {}}
    )


def _check_names(report: MonitorReport) -> None:
    """Names of zones and splits become names of files."""
    for name in (report.zone, *{anomalies.folder_of(finding.split) for finding in report.findings}):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise InternalError(
                f"monitoring report: {name!r} is no name of a file; "
                "allowed are letters, digits, '_', '.', '-'"
            )
