"""Data-quality faults of a span: what breaks in the data path, not in the plant."""

from __future__ import annotations

import pandas as pd

from components.simulator.config import FaultConfig


def apply_faults(frame: pd.DataFrame, faults: tuple[FaultConfig, ...], rows: int) -> pd.DataFrame:
    """Applies faults in their order.

    Args:
      frame: Rows of a span; columns of `COLUMNS` with `timestamp` as datetime64, plus `row`, the
        row's number on the span's grid, 0 to `rows` - 1.
      faults: Faults of this locale and span.
      rows: Rows of the grid.

    Returns:
      A new frame; `frame` is left as it was.
    """
    frame = frame.copy()
    renamed: dict[str, str] = {}
    for fault in faults:
        inside = (frame["row"] >= fault.begin * rows) & (frame["row"] < fault.end * rows)
        if fault.assets is not None:
            inside &= frame["asset"].isin(sorted(frame["asset"].unique())[: fault.assets])
        column = fault.column
        if fault.kind == "unit_change":
            values = frame.loc[inside, column]
            slope, offset = fault.unit or ((1.8, 32.0) if column == "temp_c" else (10.0, 0.0))
            frame.loc[inside, column] = (values * slope + offset).round(4)
        elif fault.kind == "clock_shift":
            frame.loc[inside, "timestamp"] += pd.Timedelta(seconds=fault.seconds)
        elif fault.kind == "stuck_sensor":
            frame.loc[inside, column] = frame[inside].groupby("asset", sort=False)[column].transform("first")
        elif fault.kind == "silent_gap":
            frame = frame[~inside]
        else:  # schema_change
            renamed[column] = f"{column}_v2"
    return frame.rename(columns=renamed)
