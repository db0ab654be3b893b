"""What each measure means, in the words that every report uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from components.drift.findings import CauseName, Measure

#: Causes in a heading.
CAUSE_TITLES: Final[Mapping[CauseName, str]] = {
    "real_regional_difference": "real regional difference",
    "generator_error": "generator error",
    "drift_in_time": "drift in time",
    "sampling_noise": "sampling noise",
    "stuck_sensor": "stuck sensor",
    "unit_change": "unit change",
    "clock_shift": "clock shift",
    "silent_gap": "silent gap",
    "schema_change": "schema change",
    "span_refused": "span refused",
    "run_failed": "run failed",
    "unknown": "cause unknown",
}


@dataclass(frozen=True)
class Term:
    """One measure in words.

    Attributes:
      title: Its name in a heading.
      meaning: One sentence: what it says.
      formula: Plain text. p and q are the shares of the two sides in the bins (p: the side that is judged),
        P and Q the shares up to and with a bin, h and H those of both sides' values together.
      range: From which to which value.
      unit: Empty where dimensionless; `feature` for the feature's own.
      worrying: Which value is, where a number alone can say so.
      source: Paper, or upstream's document.
    """

    title: str
    meaning: str
    formula: str
    range: str
    unit: str
    worrying: str
    source: str


_NOISE = "No fixed value: above its limit of sampling noise, which stands beside it."

GLOSSARY: Final[Mapping[Measure, Term]] = MappingProxyType(
    {
        "infinity_norm": Term(
            title="L-infinity distance",
            meaning="The largest change of any single bin's or category's share of the values.",
            formula="max over bins of |p − q|",
            range="0 (equal) to 1",
            unit="",
            worrying="Depends on the feature; at 0.1 a tenth of all values moved into or out of one bin.",
            source="TensorFlow Data Validation, anomalies/metrics.cc (LInftyDistance)",
        ),
        "jensen_shannon_divergence": Term(
            title="Jensen-Shannon divergence",
            meaning="How much a single value tells, on average, about which of the two sides it came from.",
            formula="½ Σ p log₂(p / m) + ½ Σ q log₂(q / m), with m = (p + q) / 2",
            range="0 (equal) to 1 (nothing in common)",
            unit="bit",
            worrying="Above 0.2: as far apart as two normal distributions 1.2 standard deviations apart. "
            "With few values per bin noise alone lifts it: compare it with its limit of sampling noise.",
            source="Lin 1991, IEEE Transactions on Information Theory 37(1); TensorFlow Data Validation, "
            "anomalies/metrics.cc",
        ),
        "kolmogorov_smirnov": Term(
            title="Kolmogorov-Smirnov distance",
            meaning="The largest difference between the two sides' shares of values up to a bin's upper end.",
            formula="max over bins of |P − Q|",
            range="0 (equal) to 1 (no overlap)",
            unit="",
            worrying=_NOISE + " On bins it is at most the statistic of the rows.",
            source="Smirnov 1948, Annals of Mathematical Statistics 19(2)",
        ),
        "anderson_darling": Term(
            title="Anderson-Darling distance",
            meaning="The mean squared difference between the distribution functions, with the tails weighted "
            "up; it judges numeric features under the noise rule.",
            formula="Σ h D² / (H′ (1 − H′) − h / 4), with D = P − Q and H taken at the middle of a bin "
            "(H′ = H − h / 2). Scholz and Stephens' A² is (N − 1) n m / N² times it, N = n + m",
            range="0 (equal) upwards; at most 4 for sides of equal size",
            unit="",
            worrying=_NOISE,
            source="Scholz and Stephens 1987, Journal of the American Statistical Association 82(399), "
            "equation 7 (ties at their mid-rank)",
        ),
        "wasserstein": Term(
            title="Wasserstein distance",
            meaning="How far the values would have to be moved, on average, to turn one side into the other.",
            formula="∫ |P(x) − Q(x)| dx, values spread evenly in their bin, open bins closed at the least "
            "and the greatest value seen; never less than the difference of the two means",
            range="0 (equal) upwards",
            unit="feature",
            worrying="Read it in the feature's unit: whatever shift would matter to who runs the plant.",
            source="Vallender 1974, Theory of Probability and its Applications 18(4)",
        ),
        "population_stability_index": Term(
            title="Population stability index",
            meaning="The Kullback-Leibler divergence both ways: it grows fast where a bin empties or fills.",
            formula="Σ (p − q) ln(p / q), half a value added to each bin of each side",
            range="0 (equal) upwards",
            unit="nat",
            worrying="By custom in credit scoring 0.1 is a small shift and 0.25 a large one; those hold for "
            "independent rows in ten bins, so its limit of sampling noise is the better guide.",
            source="Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(4)",
        ),
        "chi_squared": Term(
            title="Chi-squared distance",
            meaning="The squared differences of the shares of categories, each relative to the share it is "
            "expected to have; it judges categories under the noise rule.",
            formula="Σ (p − q)² / h, categories with fewer than 5 expected values pooled. Pearson's χ² is "
            "n m / (n + m) times it",
            range="0 (equal) to 4 for sides of equal size",
            unit="",
            worrying=_NOISE,
            source="Pearson 1900, Philosophical Magazine 50(302); pooling: Cochran 1954, Biometrics 10(4)",
        ),
        "missing_rate": Term(
            title="Change of the missing rate",
            meaning="By how much the share of rows without a finite value changed.",
            formula="|missing / rows − missing / rows of the baseline|; NaN and infinity count as missing",
            range="0 to 1",
            unit="",
            worrying=_NOISE + " 1 means that one side has no value at all.",
            source="Definition; TensorFlow Data Validation compares presence with a fixed share instead",
        ),
        "cadence": Term(
            title="Change of cadence",
            meaning="By how much the steps between rows changed: their number by length, the time that they "
            "fill, and the rows per unit of time.",
            formula="the largest of: ½ Σ |p − q| over steps by length; the same with each step weighted by "
            "its length; 1 − smaller / larger rows per bucket (not between different fleets)",
            range="0 to 1",
            unit="",
            worrying=_NOISE,
            source="Total variation distance: Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times",
        ),
        "maximum_mean_discrepancy": Term(
            title="Maximum mean discrepancy",
            meaning="How far apart all numeric features together are: it also sees a changed relation "
            "between features that each look as before.",
            formula="|mean of z(x) − mean of z(y)|, z the random Fourier features of a Gaussian kernel over "
            "standardised values",
            range="0 (equal) to about √2",
            unit="",
            worrying=_NOISE,
            source="Gretton and others 2012, Journal of Machine Learning Research 13; Rahimi and Recht 2007, "
            "Advances in Neural Information Processing Systems 20",
        ),
        "label_shift": Term(
            title="Label shift",
            meaning="By how much the share of rows labelled as an anomaly changed.",
            formula="|labelled 1 / labelled − the same of the baseline|",
            range="0 to 1",
            unit="",
            worrying=_NOISE,
            source="Definition; the term as in Lipton, Wang and Smola 2018, ICML 35",
        ),
        "concept_shift": Term(
            title="Concept shift",
            meaning="By how much the share of labels 1 changed among rows with like values of the feature.",
            formula="Σ w |P(label 1 | bin) − Q(label 1 | bin)|, w the mean of the two sides' shares of the "
            "bins that both have",
            range="0 to 1",
            unit="",
            worrying=_NOISE,
            source="Widmer and Kubat 1996, Machine Learning 23 (the notion)",
        ),
        "schema": Term(
            title="Schema",
            meaning="A feature that one side lacks, or the share of values in categories that are new.",
            formula="1 for a feature that one side lacks; else values in new categories / values",
            range="0 to 1",
            unit="",
            worrying="Any value above 0 wants a look.",
            source="TensorFlow Data Validation, anomalies (unexpected values, missing and new columns)",
        ),
    }
)
