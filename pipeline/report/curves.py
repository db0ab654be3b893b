"""Reads `plots.json` of ReleaseEvaluator: binned curves of real against synthetic rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.model import Curve, CurveKind
from pipeline.report.reading import as_list, as_mapping, as_numbers, as_text

#: A grid of more points than this would hold single rows rather than bins, and is not shown.
MAX_GRID = 512
#: The largest shares tell the story; a vocabulary of thousands does not fit a picture.
MAX_CATEGORIES = 12


def read_curves(plots: Mapping[str, Any]) -> tuple[Curve, ...]:
    """Every curve pair in the file, in its order.

    Args:
      plots: Parsed `plots.json`: `features` maps a name to `kind`, `unit`, `real` and `synthetic` over
        `edges` (numeric) or over `codes` (others), and for numeric ones `acf` and `daily`.

    Returns:
      Curves whose grids and values agree in length; what does not agree is left out.
    """
    curves: list[Curve] = []
    for name, value in as_mapping(plots.get("features")).items():
        entry = as_mapping(value)
        unit = as_text(entry.get("unit"))
        if "codes" in entry:
            curves += _share(name, entry)
            continue
        acf, daily = as_mapping(entry.get("acf")), as_mapping(entry.get("daily"))
        curves += _curve("density", name, unit, _centres(as_numbers(entry.get("edges"))), entry)
        curves += _curve("autocorrelation", name, "", as_numbers(acf.get("lags")), acf)
        curves += _curve("daily", name, unit, as_numbers(daily.get("hours")), daily)
    return tuple(curves)


def _centres(edges: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return tuple(
        None if low is None or high is None else (low + high) / 2 for low, high in itertools.pairwise(edges)
    )


def _curve(
    kind: CurveKind, name: str, unit: str, grid: tuple[float | None, ...], entry: Mapping[str, Any]
) -> Iterator[Curve]:
    real, synthetic = as_numbers(entry.get("real")), as_numbers(entry.get("synthetic"))
    x = tuple(value for value in grid if value is not None)
    if 1 < len(x) <= MAX_GRID and len(grid) == len(x) == len(real) == len(synthetic):
        yield Curve(kind=kind, feature=name, unit=unit, x=x, real=real, synthetic=synthetic)


def _share(name: str, entry: Mapping[str, Any]) -> Iterator[Curve]:
    """Shares of the categories by their rank; names stay in the region."""
    real, synthetic = as_numbers(entry.get("real")), as_numbers(entry.get("synthetic"))
    n = len(as_list(entry.get("codes")))
    if n and n == len(real) == len(synthetic):
        order = sorted(range(n), key=lambda index: -(real[index] or 0.0))[:MAX_CATEGORIES]
        yield Curve(
            kind="share",
            feature=name,
            labels=tuple(f"#{rank + 1}" for rank in range(len(order))),
            real=tuple(real[index] for index in order),
            synthetic=tuple(synthetic[index] for index in order),
        )
