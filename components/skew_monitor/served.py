"""What the deployed detector was asked about, against the rows that were trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from components.drift.core.building import build_profile
from components.drift.core.rules import Rules
from components.drift.findings import Finding
from components.drift.judging import Question
from components.drift.served_rows import read_served
from components.errors import DataError
from components.skew_monitor.config import ServedRowsConfig, SkewMonitorConfig
from components.skew_monitor.core import CENTRAL, SERVED, Crossed, find_serving


def compare_served(
    config: SkewMonitorConfig,
    served: ServedRowsConfig,
    crossed: Sequence[Crossed],
    tables: Mapping[str, pa.Table],
    rules: Rules,
) -> list[Finding]:
    """The findings; UNDEFINED, with the reason, where the record is not there, damaged or lacks something.

    The record is on the bins of an earlier run, so the training rows are counted on those.

    Args:
      config: Of SkewMonitor.
      served: Where the record is.
      crossed: Of each locale.
      tables: Locale to its merged rows.
      rules: The rules.
    """
    span = max((one.span for one in crossed), default=0)
    centre = Question("serving", CENTRAL, span, SERVED)
    try:
        found = read_served(Path(served.folder), served.days)
        plans = [profile.plan for profile in found.profiles.values()][:1]
        training = [
            replace(one, profile=build_profile([tables[one.locale]], config.dataset, plan))
            for plan in plans
            for one in crossed
        ]
    except DataError as error:
        return [centre.unanswered(str(error))]
    if not training:
        return [centre.unanswered("no row is recorded")]
    restricted = {name for name, sharing in config.locales.items() if sharing == "restricted"}
    findings = find_serving(training, found.profiles, rules, config.monitoring, SERVED, restricted)
    remarks = list(found.remarks)
    strangers = sum(int(p.rows.sum()) for name, p in found.profiles.items() if name not in config.locales)
    if strangers:
        remarks.append(f"{strangers} recorded rows named no locale of this deployment and are not compared")
    # A row that was sent again is in the record; the other reasons are rows that it lacks.
    remarks += [
        f"{rows} rows are not in the record ({reason})"
        for reason, rows in sorted(found.not_recorded.items())
        if reason != "repeated" and rows
    ]
    return [*findings, centre.unanswered("; ".join(remarks))] if remarks else findings
