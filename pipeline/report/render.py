"""Writes a `RunReport` as one self-contained HTML page and its JSON twin.

The page asks for nothing from anywhere: styles and pictures are inline, fonts are the system's, and
a content security policy forbids every request.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.executor_base import write_atomically
from pipeline.report import plots, slice_plot, views, words
from pipeline.report.model import Curve, LocaleReport, RunReport, TrainingCurve

#: Small multiples per page, shared out over the locales, so that a large fleet stays a small page.
_CURVE_BUDGET = 200
_MAX_CURVES_PER_LOCALE = 24
_TRAINING_BUDGET = 60
_MAX_TRAINING_PER_LOCALE = 4


def render(report: RunReport, out_html: Path) -> None:
    """Writes the page and, beside it, the same name with the suffix `.json`; each whole or not at all.

    Args:
      report: From `collect`.
      out_html: Path of the page; its folder is made where it is missing.
    """
    out_html = Path(out_html)
    page = render_html(report)
    write_atomically(out_html.with_suffix(".json"), report.model_dump_json(indent=1) + "\n")
    write_atomically(out_html, page)


def style_sheet(package: str = "pipeline.report", file: str = "report.css") -> Markup:
    """A style sheet of ours, to be inlined as it is; the default is that of every page."""
    return Markup((resources.files(package) / "templates" / file).read_text())


def page_environment(*packages: str) -> jinja2.Environment:
    """What every page is rendered with: our templates, then those of other packages; filters for words."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, "templates") for name in ("pipeline.report", *packages)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number,
        count=words.count,
        percent=words.percent,
        bounds=words.bounds,
        limits=words.limits,
        duration=words.duration,
        moment=words.moment,
        plain=words.plain,
        short_digest=words.short_digest,
        scenario_name=words.scenario_name,
        detector_name=words.detector_name,
        verdict_name=lambda text: words.VERDICT_NAMES.get(text, text),
        slug=slug,
        pretty_rule=lambda text: text.replace("<=", "≤").replace(">=", "≥"),
        lower_first=lambda text: text if text.startswith("Prophet") else text[:1].lower() + text[1:],
    )
    return environment


def render_html(report: RunReport) -> str:
    """The page as text. The same report gives the same text."""
    text = (
        page_environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            css=style_sheet(),
            draw=_painter(),
            shown=_shown(report),
            views=views,
            scenario_meanings=words.SCENARIO_MEANINGS,
        )
    )
    return without_blank_lines(text)


def without_blank_lines(text: str) -> str:
    """The page without the lines that template statements leave empty."""
    return re.sub(r"\n\s*\n+", "\n", text)


def slug(text: str) -> str:
    """Letters, digits and hyphens, for an anchor in the page."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-").lower() or "x"


def _painter() -> dict[str, Callable[..., Any]]:
    """Drawing functions for the template; each picture gets a name of its own in the page."""
    numbers = itertools.count(1)

    def safe(draw: Callable[..., str], *args: Any, **options: Any) -> Any:
        return Markup(draw(*args, name=f"p{next(numbers)}", **options))

    return {
        "curve": lambda curve: safe(plots.curve_svg, curve),
        "training": lambda curve: safe(plots.training_svg, curve),
        "scores": lambda detection, narrow: safe(plots.scores_svg, detection, narrow=narrow),
        "slices": lambda cut, narrow: safe(slice_plot.slices_svg, cut, narrow=narrow),
        "forecast": lambda panel, narrow: safe(plots.forecast_svg, panel, narrow=narrow),
    }


def _shown(report: RunReport) -> dict[str, dict[str, Any]]:
    """Per locale what is drawn, with how much is left to the JSON twin."""
    restricted = max(1, sum(1 for item in report.locales if item.curves.content))
    n_curves = max(2, min(_MAX_CURVES_PER_LOCALE, _CURVE_BUDGET // restricted))
    n_training = max(1, min(_MAX_TRAINING_PER_LOCALE, _TRAINING_BUDGET // restricted))
    return {item.locale: _shown_of(item, n_curves, n_training) for item in report.locales}


def _shown_of(item: LocaleReport, n_curves: int, n_training: int) -> dict[str, Any]:
    curves: tuple[Curve, ...] = item.curves.content or ()
    kinds = {
        "density": [curve for curve in curves if curve.kind in ("density", "share")],
        "autocorrelation": [curve for curve in curves if curve.kind == "autocorrelation"],
        "daily": [curve for curve in curves if curve.kind == "daily"],
    }
    drawn = {kind: found[: max(1, n_curves // len(kinds))] for kind, found in kinds.items()}
    log: tuple[TrainingCurve, ...] = item.training.content.curves if item.training.content else ()
    return {
        **drawn,
        "curves_left_out": len(curves) - sum(len(found) for found in drawn.values()),
        "training": log[:n_training],
        "training_left_out": max(0, len(log) - n_training),
    }
