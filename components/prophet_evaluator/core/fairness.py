"""The test rows as the fairness report reads them: resampling units, columns to cut by, flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.dataset import TIMESTAMP
from components.fairness.config import LOCALE_SLICES, SERIES_SLICES
from components.fairness.core.measures import Sample
from components.fairness.core.report import fairness_report
from components.prophet_evaluator.config import ProphetEvaluatorConfig, ScenarioName
from components.prophet_evaluator.core import frames, metrics
from components.prophet_evaluator.core.detector import Judgement
from components.prophet_evaluator.core.frames import LABEL, LOCALE, ROW, SERIES


def draw_sample(test: pd.DataFrame, config: ProphetEvaluatorConfig) -> tuple[Sample, int]:
    """Labels, resampling units and bootstrap weights of the test rows, and the number of events.

    Args:
      test: From `evaluate.prepare_test`.
      config: Block length, replicates, confidence, seed.
    """
    label, code = test[LABEL].to_numpy(), frames.series_codes(test)
    units, n_events = metrics.resampling_units(
        label, code, test[TIMESTAMP].to_numpy(), config.bootstrap_block_s
    )
    rng = np.random.default_rng([config.seed, 11])
    weights = metrics.bootstrap_weights(int(units.max()) + 1, n_events, config.bootstrap_samples, rng)
    return Sample(label, code, units, weights, config.confidence), n_events


def fairness_of(
    test: pd.DataFrame,
    table: pa.Table,
    judgements: Mapping[ScenarioName, Judgement],
    sample: Sample,
    config: ProphetEvaluatorConfig,
) -> dict[str, Any]:
    """Content of `fairness.json`.

    Args:
      test: From `evaluate.prepare_test`.
      table: The rows that it was prepared of.
      judgements: Scenario -> what its detectors say of `test`.
      sample: From `draw_sample`.
      config: The whole configuration.
    """
    flags = {}
    for name, judged in judgements.items():
        flags[str(name), "interval"] = judged.interval_flag
        if judged.classifier_flag is not None:
            flags[str(name), "classifier"] = judged.classifier_flag
    return fairness_report(flags, _columns(test, table, config), sample, config.fairness)


def _columns(test: pd.DataFrame, table: pa.Table, config: ProphetEvaluatorConfig) -> dict[str, np.ndarray]:
    """Slice column -> value of each test row, in the order of `test`."""
    found: dict[str, np.ndarray] = {}
    order = test[ROW].to_numpy()
    for item in config.fairness.slices:
        name = item.column
        if name == LOCALE_SLICES:
            found[name] = test[LOCALE].to_numpy()
        elif name == SERIES_SLICES:
            if config.dataset.series:  # a device's name may occur in two locales
                found[name] = (test[LOCALE] + " / " + test[SERIES]).to_numpy()
        elif item.edges:
            found[name] = table[name].cast(pa.float64()).to_pandas().to_numpy(np.float64)[order]
        elif name in table.column_names:
            found[name] = table[name].to_pandas().to_numpy(dtype=object)[order]
    return found
