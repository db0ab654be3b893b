"""Values in place of missing ones: fills by mean, median and mode, and by interpolation over short gaps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from components.errors import InternalError


@dataclasses.dataclass(frozen=True)
class Fill:
    """A value for every series, learned from known values.

    Attributes:
      overall: From all known values, or None where there is none.
      of_series: Series number -> value; a series without a known value is not in it.
    """

    overall: object | None
    of_series: dict[int, object]

    def values(self, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A value for rows of the given series, None where there is none; and where `overall` stood in.

        Args:
          series: Shape [row], integer.

        Returns:
          Objects and bools, each of shape [row].
        """
        own = pd.Series(series).map(self.of_series).to_numpy(dtype=object)
        stood_in = pd.isna(own)
        own[stood_in] = self.overall
        return own, stood_in & (self.overall is not None)


def learn_fill(
    values: np.ndarray, series: np.ndarray, policy: str, by: str = "series", whole: bool = False
) -> Fill:
    """Learns what stands in for a missing value.

    Args:
      values: Numbers or texts; NaN, infinities and None are not known. Shape [row].
      series: Number of each row's series. Shape [row], integer.
      policy: `mean`, `median` or `mode`.
      by: `series` or `all`.
      whole: Round to the nearest whole number, halves to the even one.

    Raises:
      InternalError: another policy.
    """
    if policy not in ("mean", "median", "mode"):
        raise InternalError(f"a fill by '{policy}' cannot be learned")
    column = pd.Series(values)
    known = column.notna().to_numpy()
    if column.dtype != object:
        known &= np.isfinite(values)
    column, group = column[known], np.asarray(series)[known]
    if not len(column):
        return Fill(None, {})

    def finish(value: object) -> object:
        return float(np.rint(value)) if whole and policy != "mode" else value  # type: ignore[call-overload]

    def of(part: pd.Series) -> object:
        # pandas sorts the modes, so that ties go to the smallest.
        return part.mode().iloc[0] if policy == "mode" else getattr(part, policy)()

    per_series = {}
    if by == "series":
        per_series = {int(code): finish(of(part)) for code, part in column.groupby(group)}
    return Fill(finish(of(column)), per_series)


def interpolate_gaps(
    time_us: np.ndarray, values: np.ndarray, run: np.ndarray, longest_us: float
) -> np.ndarray:
    """Values for missing cells on the line between the known values on either side.

    Args:
      time_us: Microseconds, ascending within a run. Shape [row], int64.
      values: NaN or infinite where not known. Shape [row], float64.
      run: Number of the rows that may look at one another, ascending. Shape [row].
      longest_us: Longest time between the two known values.

    Returns:
      A value for each cell that is filled, NaN elsewhere (known cells too). Shape [row], float64.
    """
    n = len(values)
    filled = np.full(n, np.nan)
    known = np.isfinite(values)
    place = np.flatnonzero(~known)
    if not len(place) or not known.any():
        return filled
    before = np.maximum.accumulate(np.where(known, np.arange(n), -1))[place]
    after = np.minimum.accumulate(np.where(known, np.arange(n), n)[::-1])[::-1][place]
    both = (before >= 0) & (after < n)
    place, before, after = place[both], before[both], after[both]
    near = (run[before] == run[place]) & (run[after] == run[place])
    near &= time_us[after] - time_us[before] <= longest_us
    place, before, after = place[near], before[near], after[near]
    share = (time_us[place] - time_us[before]) / (time_us[after] - time_us[before])
    filled[place] = values[before] * (1 - share) + values[after] * share
    return filled


class GapFiller:
    """`interpolate_gaps` over rows that come in pieces: what it holds is no longer than the longest gap."""

    def __init__(self, longest_us: float) -> None:
        """Args: longest_us: as for `interpolate_gaps`."""
        self._longest = longest_us
        self._held: tuple[np.ndarray, ...] | None = None

    def add(
        self, ids: np.ndarray, time_us: np.ndarray, values: np.ndarray, run: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes the next rows in order; returns the cells that are filled now, as ids and values.

        Args:
          ids: Of the rows, any numbers. Shape [row].
          time_us: Shape [row], int64.
          values: Shape [row], float64.
          run: Shape [row]; goes on from one piece to the next.
        """
        columns: tuple[np.ndarray, ...] = (ids, time_us, values, run)
        if self._held is not None:
            columns = tuple(np.concatenate(pair) for pair in zip(self._held, columns, strict=True))
        ids, time_us, values, run = columns
        if not len(ids):
            return ids, values
        filled = interpolate_gaps(time_us, values, run, self._longest)
        known = np.flatnonzero(np.isfinite(values) & (run == run[-1]))
        # A gap at the end may be closed by what comes next; a known value begins it, the rest is done with.
        open_gap = len(known) > 0 and time_us[-1] - time_us[known[-1]] <= self._longest
        self._held = tuple(column[known[-1] :] for column in columns) if open_gap else None
        there = np.isfinite(filled)
        return ids[there], filled[there]
