"""What the detector met of missing values, and what it did with them: part of `evaluation.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from components.dataset import DatasetConfig

#: Nothing is filled here; these are the rules that the detectors have for a value that is not there.
TREATMENT = {
    "target": "a row without a value of a target is left out of that target's forecast model, and the "
    "interval detector does not flag it for that target",
    "feature": "stays missing in the classifier's inputs, whose trees send missing values to one side of a "
    "split, learned where training rows had some",
    "window": "a rolling window is of the values that are there, and missing where fewer than a third are",
}


def missing_values(
    test: pd.DataFrame, pools: Mapping[str, Mapping[str, pd.DataFrame]], dataset: DatasetConfig
) -> dict[str, Any]:
    """Counts missing cells of what was judged and of what was learned from.

    Args:
      test: The test rows.
      pools: Scenario -> locale -> training rows.
      dataset: Names the features.

    Returns:
      JSON-ready: `treatment`; `test`: feature -> cells; `training`: scenario -> locale -> feature -> cells.
    """
    names = list(dataset.feature_names())

    def count(frame: pd.DataFrame) -> dict[str, int]:
        return {name: int(found) for name, found in frame[names].isna().sum().items()}

    return {
        "treatment": TREATMENT,
        "test": count(test),
        "training": {
            scenario: {locale: count(frame) for locale, frame in frames.items()}
            for scenario, frames in pools.items()
        },
    }
