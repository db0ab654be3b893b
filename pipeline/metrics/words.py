"""Label values: words of the deployment file and of this program, nothing that data could have written."""

from __future__ import annotations

from dataclasses import dataclass

from components.drift.findings import ALL_FEATURES, WHOLE_SPAN, Finding
from pipeline.config.model import Deployment

#: Stands for every value that the deployment does not name. It keeps the number of series bounded, and a
#: column or category that only the rows know out of them.
OTHER = "(other)"
#: Stands for all test rows together.
ALL_LOCALES = "(all)"
CENTRAL = "central"
#: A span that is looked at without a baseline, for a stuck sensor or a gap; and what its finding says then.
ITSELF, _ALONE = "itself", "the span by itself"
#: A locale that came to no monitor, and what its finding says then.
EXPECTED = "expected"
_SCENARIOS = ("no_sharing", "naive_synthetic", "isthmus", "ideal")
_DETECTORS = ("interval", "classifier")
_SPLITS = ("train", "eval", "holdout", "test", WHOLE_SPAN)
_AGAINST = ("synthetic", "test", "train")


@dataclass(frozen=True)
class Words:
    """The values that each label may take.

    Attributes:
      deployment: The deployment's name.
      locales: Configured locales, in the file's order.
      features: Columns that the data set names.
      splits: Splits that ExampleGen makes.
      units: Units of the features.
    """

    deployment: str
    locales: tuple[str, ...]
    features: frozenset[str]
    splits: frozenset[str]
    units: frozenset[str]

    def locale(self, name: str) -> str:
        """A configured locale, or `central`."""
        return name if name in self.locales or name == CENTRAL else OTHER

    def feature(self, name: str) -> str:
        """A configured feature, or `(all)`."""
        return name if name in self.features or name == ALL_FEATURES else OTHER

    def split(self, name: str) -> str:
        """A split, or `(span)`."""
        return name if name in self.splits else OTHER

    def unit(self, name: str) -> str:
        """A unit of the data set, seconds, or none."""
        return name if name in self.units or name in ("", "s") else OTHER

    def against(self, finding: Finding) -> str:
        """The other side of a comparison: no number of a span is in it, or each span would add series."""
        if finding.comparison == "drift":
            return finding.baseline or (ITSELF if finding.against == _ALONE else OTHER)
        if finding.comparison == "intake":
            return EXPECTED
        return finding.against if finding.against in (*self.locales, *_AGAINST) else OTHER

    def finding(self, finding: Finding) -> tuple[str, str, str, str, str]:
        """The values of `catalogue.FINDING_LABELS`."""
        return (
            self.locale(finding.locale),
            finding.comparison,
            self.against(finding),
            self.feature(finding.feature),
            self.split(finding.split),
        )

    def scored(self, detector: str, scenario: str, locale: str) -> tuple[str, str, str]:
        """A detector, a scenario and a locale of the labelled test rows, whose names the rows give."""
        return (
            detector if detector in _DETECTORS else OTHER,
            scenario if scenario in _SCENARIOS else OTHER,
            locale if locale in (*self.locales, ALL_LOCALES) else OTHER,
        )


def words_of(deployment: Deployment) -> Words:
    """The label values of a deployment."""
    dataset = deployment.dataset
    columns = (dataset.timestamp, dataset.label, dataset.label_kind, *dataset.feature_names())
    sources = (*(locale.source.name for locale in deployment.locales), deployment.central.test_set.name)
    return Words(
        deployment=deployment.name,
        locales=tuple(locale.name for locale in deployment.locales),
        features=frozenset(name for name in columns if name),
        splits=frozenset((*_SPLITS, deployment.splits.name, *sources)),
        units=frozenset(feature.unit for feature in dataset.features),
    )
