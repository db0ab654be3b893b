"""What the table says of the long range: profiles, long lags, series together, regimes, nulls, events.

Measured apart from the rest and under a digest of its own (`digests.LONG_RANGE`), so that rows that were kept
can be completed without what else was measured of them being measured again. Normal rows alone are looked at
(`data.rows_of` does the same), but for the events.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.synthesizer import long_profiles, long_runs
from benchmarks.synthesizer.data import Case, numbers
from benchmarks.synthesizer.long_profiles import WEEK_BINS, WEEK_US, Span
from benchmarks.synthesizer.measures import known, varying
from components.dataset import TIMESTAMP
from components.synthesizer_trainer.core.panel import label_kinds, series_numbers

#: How every key begins.
PREFIX = "long_"
#: A number with no more values than this has states.
STATES = 12


def span_of(table: pa.Table, case: Case, *, labelled: bool = False) -> Span:
    """A table's normal rows, or all of them.

    Args:
      table: Sorted by series, then time.
      case: Whose columns they are.
      labelled: With the rows of labelled events.
    """
    values, stamps = numbers(table, case), table[TIMESTAMP].to_numpy().astype(np.int64)
    series, dataset = series_numbers(table, case.dataset), case.dataset
    if dataset.label and not labelled:
        calm = table[dataset.label].fill_null(0).to_numpy() == 0
        values, stamps, series = values[calm], stamps[calm], series[calm]
    return Span(values, series, stamps, dataset.interval_s)


def columns_of(case: Case, real: Span) -> tuple[list[int], list[int]]:
    """Varying numbers, and varying columns with states: flags, categories, numbers of at most 12 values."""
    kinds = [feature.kind for feature in case.dataset.features]
    moving = varying(real.values)
    numeric = [f for f in moving if kinds[f] in ("continuous", "integer")]
    states = [f for f in moving if f not in numeric or len(np.unique(known(real.values[:, f]))) <= STATES]
    return numeric, states


def indicators(case: Case, real: Span, other: Span) -> tuple[Span, Span]:
    """The varying columns of both, a category as one flag per value: its codes are no numbers."""
    sides: tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.float64]]] = ([], [])
    for f in varying(real.values):
        categorical = case.dataset.features[f].kind == "categorical"
        for side, span in zip(sides, (real, other)):
            own = span.values[:, f]
            codes = np.unique(known(real.values[:, f])) if categorical else ()
            side += [np.where(np.isnan(own), np.nan, own == code) for code in codes] or [own]
    return tuple(  # type: ignore[return-value]
        Span(np.stack(side, 1), span.series, span.stamps, span.interval_s)
        for side, span in zip(sides, (real, other))
    )


def measure(case: Case, sampled: pa.Table, release: pa.Table | None) -> dict[str, float]:
    """Every measure of the long range that is defined, keys as in the table.

    Args:
      case: The data set; the real side is its whole period.
      sampled: Rows that the table judges.
      release: Rows with labels, or None.
    """
    real, made = span_of(case.period, case), span_of(sampled, case)
    numeric, states = columns_of(case, real)
    flags = indicators(case, real, made)
    every = range(flags[0].values.shape[1])
    level, spread = long_profiles.hourly_fidelity(real, made, numeric)
    found = {
        "day": long_profiles.profile_error(*flags, every),
        "week": long_profiles.profile_error(*flags, every, WEEK_US, WEEK_BINS),
        "acf": long_profiles.long_acf_error(real, made, numeric),
        "series": long_profiles.between_series_error(*flags, every),
        "level": level,
        "spread": spread,
        "dwell": long_runs.dwell_fidelity(real, made, states),
        "changes": long_runs.change_error(real, made, states),
        "nulls": long_runs.null_rate_error(real, made),
        "null_runs": long_runs.null_run_fidelity(real, made),
        "null_pairs": long_runs.null_pair_error(real, made),
    }
    if case.dataset.label and release is not None:
        sides = [
            long_runs.windows(label_kinds(table, case.dataset), span_of(table, case, labelled=True))
            for table in (case.period, release)
        ]
        found["event_ratio"], found["events"] = long_runs.event_measures(sides[0], sides[1])
    return {f"{PREFIX}{key}": value for key, value in found.items() if value is not None}


def reference(case: Case) -> dict[str, float]:
    """Real against real: another span of the same source, where there is none the later test rows.

    Even against odd hours would cut all that lasts longer.
    """
    other = case.test if case.another is None else case.another
    return measure(case, other, other)


def without(measures: dict[str, float]) -> dict[str, float]:
    """Measures without those of the long range."""
    return {key: value for key, value in measures.items() if not key.startswith(PREFIX)}
