"""Locale against locale on real rows: a restricted locale's sketch, an open one's rows, on public bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TypeAlias, Union

import pyarrow as pa

from components.dataset import DatasetConfig
from components.drift.core.building import build_profile
from components.drift.core.cause import Side
from components.drift.core.outward_form import OutwardSketch
from components.drift.core.rules import Rules
from components.drift.core.told import from_rows, from_sketch
from components.drift.core.told_compare import compare_told
from components.drift.findings import Finding, MonitorReport
from components.drift.judging import Question, findings_of
from components.drift.public import outward_plan
from components.egress.sketch import accepted_sketch
from components.monitoring import MonitoringConfig
from components.skew_monitor.core import Crossed, stood

#: Of one locale: its sketch, or the rows that crossed themselves.
Real: TypeAlias = Union[OutwardSketch, pa.Table]


def read_sketches(folder: Path, dataset: DatasetConfig, locales: Sequence[str]) -> dict[str, OutwardSketch]:
    """The sketches that MergeGen took out of verified releases, by locale; those that there are.

    Raises:
      ReleaseError: one is not as it was accepted.
    """
    files = {name: folder / f"{name}.json" for name in locales}
    return {
        name: accepted_sketch(file.read_bytes(), dataset, str(folder))
        for name, file in files.items()
        if file.exists()
    }


def find_real_skew(
    crossed: Sequence[Crossed],
    real: Mapping[str, Real],
    dataset: DatasetConfig,
    rules_for: Callable[[str, str], Rules],
    monitoring: MonitoringConfig,
    before: MonitorReport | None = None,
) -> list[Finding]:
    """Compares pairs of locales that both tell of their real rows, one at least by a sketch.

    Args:
      crossed: Of each locale, in the order of the deployment.
      real: By locale; those that tell nothing are not in it.
      dataset: The columns.
      rules_for: The rules of two locales.
      monitoring: Severities.
      before: What the centre found of earlier spans.

    Returns:
      A finding per pair and feature of the public plan. A generator is no cause of these.
    """
    if not any(isinstance(found, OutwardSketch) for found in real.values()):
        return []
    plan = outward_plan(dataset)
    # Of each locale once, whatever the number of pairs.
    sketched = {name: from_sketch(one, plan) for name, one in real.items() if isinstance(one, OutwardSketch)}
    counted = {
        name: build_profile([one], dataset, plan) for name, one in real.items() if isinstance(one, pa.Table)
    }
    found: list[Finding] = []
    for one, other in combinations(crossed, 2):
        names = one.locale, other.locale
        periods = [sketched[name].period_s for name in names if name in sketched]
        if not periods or any(name not in real for name in names):
            continue
        told = [
            sketched[name] if name in sketched else from_rows(counted[name], periods[0]) for name in names
        ]

        def sides(feature: str, one: Crossed = one, other: Crossed = other) -> Sequence[Side]:
            return [replace(side.side(feature), generator=()) for side in (one, other)]

        rules = rules_for(one.locale, other.locale)
        answers = findings_of(
            Question("skew", one.locale, one.span, other.locale),
            compare_told(told[0], told[1], rules),
            rules,
            monitoring,
            sides,
            lambda feature, one=one, other=other: stood(before, one, other, feature),  # type: ignore[misc]
        )
        found += [answer.model_copy(update={"basis": "sketches"}) for answer in answers]
    return found


def in_place_of(releases: Sequence[Finding], sketches: Sequence[Finding]) -> list[Finding]:
    """All findings, those on sketches in place of those of the same pair and feature on what was released."""
    better = {(found.locale, found.against, found.feature) for found in sketches}
    kept = [found for found in releases if (found.locale, found.against, found.feature) not in better]
    return [*kept, *sketches]
