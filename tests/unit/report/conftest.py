"""The made-up run, as fixtures."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.report import plots, slice_plot
from pipeline.report.collect import collect
from pipeline.report.render import render_html


def _made_up_run(root: Path, **options: Any) -> Any:
    spec = importlib.util.spec_from_file_location("made_up_run", Path(__file__).with_name("made_up_run.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MadeUpRun(root, **options)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Any]:
    """Writes a made-up run; arguments as `MadeUpRun`."""
    return lambda **options: _made_up_run(tmp_path, **options)


@pytest.fixture(scope="session")
def whole_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the whole made-up run, for tests that only look at it."""
    return render_html(collect(_made_up_run(tmp_path_factory.mktemp("run")).run_dir))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the words: each picture takes up to 0.2 s to draw."""
    for draw in (plots.curve_svg, plots.training_svg, plots.forecast_svg, plots.scores_svg):
        monkeypatch.setattr(plots, draw.__name__, lambda *_, **__: "<svg></svg>")
    monkeypatch.setattr(slice_plot, "slices_svg", lambda *_, **__: "<svg></svg>")
