"""Everything that the table says of one generator's rows but their cost."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benchmarks.synthesizer import data, measures, recall


def measure(
    case: data.Case,
    rows: data.Rows,
    seed: int,
    networks: bool,
    real_tstr: float,
    release: pa.Table | None = None,
) -> dict[str, float]:
    """Everything that the table says of one generator's rows but their cost; `release` has labels."""
    period, train, holdout = (data.rows_of(t, case) for t in (case.period, case.train, case.holdout))
    out = measures.summary(period.values, period.segment, rows.values, rows.segment)
    inside, outside = (train.values, train.segment), (holdout.values, holdout.segment)
    for suffix, length in (("", measures.ATTACK_ROWS), ("_row", 1)):
        attack, control = measures.membership(rows.values, rows.segment, inside, outside, seed, length)
        own = {"excess": attack - control, "attack": attack, "control": control}
        out |= {f"{key}{suffix}": value for key, value in own.items()}
    out["copied"] = measures.copied(rows.values, train.values, holdout.values)
    out |= alone(case, period, rows)
    out |= recall.numbers_of(recall.kept(case, release, seed))
    if networks:
        from benchmarks.synthesizer.networks import Scale, discriminative_auc, forecast_error

        scale, test = Scale(period.values), data.rows_of(case.test, case)
        made = (rows.values, rows.segment)
        error, _ = forecast_error(scale, made, (test.values, test.segment), seed)
        out |= {"tstr": error, "tstr_ratio": error / real_tstr}
        out["auc"] = discriminative_auc(scale, (period.values, period.segment), made, seed)
    return out


def alone(case: data.Case, real: data.Rows, made: data.Rows) -> dict[str, float]:
    """The analogue column by itself, where the case names one."""
    if case.alone is None:
        return {}
    place = case.dataset.feature_names().index(case.alone)
    sides = [(rows.values[:, [place]], rows.segment) for rows in (real, made)]
    return {
        "alone": float(measures.margins(sides[0][0], sides[1][0])[0]),
        "alone_acf": float(measures.acf_errors(*sides[0], *sides[1])[0]),
    }


def real_rows(case: data.Case, seed: int, networks: bool) -> dict[str, float]:
    """Real against real: even against odd hours, and what a forecaster learns from the training rows."""
    period = data.rows_of(case.period, case)
    halves = []
    for parity in (0, 1):
        own = period.hour == parity
        row = np.flatnonzero(own)
        # Two hours of one parity are never neighbours.
        breaks = np.diff(row) > 1
        segment = np.cumsum(np.r_[True, breaks | (np.diff(period.segment[own]) != 0)]) - 1
        halves.append(data.Rows(period.values[own], segment.astype(np.int64), period.hour[own]))
    even, odd = halves
    out = measures.summary(even.values, even.segment, odd.values, odd.segment)
    out |= alone(case, even, odd)
    # Other real rows in place of a release: what a generator could reach that knows the process.
    out |= recall.numbers_of(recall.kept(case, case.again, seed))
    if networks:
        from benchmarks.synthesizer.networks import Scale, discriminative_auc, forecast_error

        scale = Scale(period.values)
        train, test = data.rows_of(case.train, case), data.rows_of(case.test, case)
        sides = (train.values, train.segment), (test.values, test.segment)
        out["tstr"], out["persistence"] = forecast_error(scale, *sides, seed)
        out["tstr_ratio"] = 1.0
        out["auc"] = discriminative_auc(scale, (even.values, even.segment), (odd.values, odd.segment), seed)
    return out
