"""Missing values, outliers and fairness in a report: counts and rates; never a value or a place of a row."""

from __future__ import annotations

from pipeline.report.model_parts import Bounds, ReportModel


class QualityColumn(ReportModel):
    """One column of what ExampleGen read.

    Attributes:
      feature: Its name.
      policy: What becomes of a missing value; empty for the label, which no policy touches.
      missing: Cells without a value, of all rows that were read and not quarantined.
      filled: Of those, how many were given one.
      left: Of those, how many are stored as missing (`drop` leaves none: its rows are gone).
      outliers: Values beyond the robust z-score's limit, of the rows that were judged; None where the
        column is not judged.
      longest_gap_rows: Longest run of missing cells in a series. In the locale's own report only.
      longest_gap_s: How long it lasted, in seconds. In the locale's own report only.
      by_hour: Missing cells by hour of the day, UTC; 24 or none. In the locale's own report only.
    """

    feature: str
    policy: str = ""
    missing: int = 0
    filled: int = 0
    left: int = 0
    outliers: int | None = None
    longest_gap_rows: int | None = None
    longest_gap_s: float | None = None
    by_hour: tuple[int, ...] = ()


class DataQuality(ReportModel):
    """`quality.json` of ExampleGen.

    Attributes:
      rows: Rows that were looked at: read and not quarantined.
      complete_rows: Of those, rows without a missing feature or label.
      dropped_rows: Of those, rows that the policy `drop` did not store.
      dropped_labelled: Of those, rows labelled anomalous.
      learned_from: Splits that means, medians and modes are of.
      judged_rows: Rows that were searched for outliers, evenly spread.
      forest_outliers: Of those, outliers of the isolation forest; None where it could not judge.
      forest_labelled: Of those, rows labelled anomalous.
      outliers_absent: Why there is no search; empty where there is one.
    """

    rows: int = 0
    complete_rows: int = 0
    dropped_rows: int = 0
    dropped_labelled: int = 0
    learned_from: tuple[str, ...] = ()
    judged_rows: int | None = None
    forest_outliers: int | None = None
    forest_labelled: int | None = None
    outliers_absent: str = ""
    columns: tuple[QualityColumn, ...] = ()

    def counts_only(self) -> DataQuality:
        """What may leave a restricted locale: no duration, no time of the day."""
        bare = {"longest_gap_rows": None, "longest_gap_s": None, "by_hour": ()}
        return self.model_copy(update={"columns": tuple(x.model_copy(update=bare) for x in self.columns)})


class SliceRate(ReportModel):
    """A rate with its interval; `reason` says why `value` is None."""

    value: float | None = None
    interval: Bounds | None = None
    reason: str = ""


class SliceScore(ReportModel):
    """A detector on one slice of the test rows."""

    name: str
    rows: int = 0
    events: int = 0
    selection_rate: SliceRate = SliceRate()
    tpr: SliceRate = SliceRate()
    fpr: SliceRate = SliceRate()
    precision: SliceRate = SliceRate()
    f1: SliceRate = SliceRate()


class SliceGap(ReportModel):
    """How far the slices are apart in one respect.

    Attributes:
      name: `disparate_impact_ratio`, `equalised_odds_difference` ...
      extremes: Slices with the lowest and the highest rate.
      left_out: Slices whose rate is undefined.
    """

    name: str
    value: SliceRate = SliceRate()
    extremes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class FairnessCut(ReportModel):
    """One detector, the test rows cut by one column.

    Attributes:
      absent: Why there are no slices; empty where there are.
    """

    scenario: str
    detector: str
    column: str
    absent: str = ""
    slices: tuple[SliceScore, ...] = ()
    gaps: tuple[SliceGap, ...] = ()


class Fairness(ReportModel):
    """`fairness.json` of ProphetEvaluator.

    Attributes:
      names_from: Where the names of slices come from.
    """

    cuts: tuple[FairnessCut, ...]
    confidence: float | None = None
    min_rows: int | None = None
    min_events: int | None = None
    names_from: str = ""
