"""What the centre's monitoring finds: locale against locale, training rows against test rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from components.drift.core.cause import Side
from components.drift.core.faults import Fault
from components.drift.core.profile import Profile
from components.drift.core.rules import Rules
from components.drift.findings import DATA_FAULTS, Comparison, Finding, Measurement, MonitorReport
from components.drift.judging import Question, answer
from components.monitoring import MonitoringConfig

CENTRAL = "central"
#: What `serving` compares with: the labelled test rows, which the deployed detector is judged on.
TEST = "test"
#: The rows that it was asked about, where they are recorded.
SERVED = "serving"
_NO_ROW = {
    TEST: "the test set has no row of this locale",
    SERVED: "no row of this locale is recorded",
}


@dataclass(frozen=True)
class Crossed:
    """What the centre has of one locale.

    Attributes:
      locale: Its name.
      span: Of the release that was merged.
      profile: Of the rows that crossed.
      released: What the region's own monitoring released; None where it released nothing.
    """

    locale: str
    span: int
    profile: Profile
    released: MonitorReport | None = None
    _sides: dict[str, Side] = field(default_factory=dict, compare=False, repr=False)

    def side(self, feature: str) -> Side:
        """What is known of the locale about a feature, for the cause of an alert."""
        if feature not in self._sides:
            findings = self.released.findings if self.released else ()
            self._sides[feature] = Side(
                self.locale,
                faults=tuple(_faults(findings)),
                generator=_measured(findings, "generator", feature),
                drift=_measured(findings, "drift", feature),
            )
        return self._sides[feature]


def find_skew(
    crossed: Sequence[Crossed],
    rules_for: Callable[[str, str], Rules],
    monitoring: MonitoringConfig,
    before: MonitorReport | None = None,
) -> list[Finding]:
    """Compares every locale with every other on what crossed, feature by feature.

    Args:
      crossed: Of each locale, in the order of the deployment; profiles on the same bins.
      rules_for: The rules of two locales.
      monitoring: Severities.
      before: What the centre found of earlier spans: a difference that stood then is no drift of now.

    Returns:
      Findings; one that is UNDEFINED where there is only one locale.
    """
    if len(crossed) < 2:
        return [
            Question("skew", one.locale, one.span, "no other locale").unanswered(
                "a skew needs two locales, and only one has a release"
            )
            for one in crossed
        ]
    found: list[Finding] = []
    for one, other in combinations(crossed, 2):

        def sides(feature: str, one: Crossed = one, other: Crossed = other) -> Sequence[Side]:
            return one.side(feature), other.side(feature)

        answers = answer(
            Question("skew", one.locale, one.span, other.locale),
            one.profile,
            other.profile,
            rules_for(one.locale, other.locale),
            monitoring,
            sides,
            before=lambda feature, one=one, other=other: stood(before, one, other, feature),  # type: ignore[misc]
        )
        found += [item.model_copy(update={"basis": "releases"}) for item in answers]
    return found


def stood(
    before: MonitorReport | None, one: Crossed, other: Crossed, feature: str
) -> tuple[Measurement, ...]:
    """The skew of the same two locales in earlier spans."""
    for finding in before.findings if before else ():
        pair = {finding.locale, finding.against} == {one.locale, other.locale}
        if pair and finding.comparison == "skew" and finding.feature == feature:
            return finding.measurements
    return ()


def find_serving(
    crossed: Sequence[Crossed],
    seen: Mapping[str, Profile],
    rules: Rules,
    monitoring: MonitoringConfig,
    against: str = TEST,
    restricted: Collection[str] = (),
) -> list[Finding]:
    """Compares what a detector sees with what it was trained on, locale by locale.

    Args:
      crossed: The rows that were trained on, on the bins of `seen`.
      seen: Locale to the profile of what the detector sees.
      rules: The rules.
      monitoring: Severities.
      against: What it sees: `TEST` or `SERVED`.
      restricted: Locales of which no bins and no course over time are kept: where rows were served, what
        was asked may be their real rows.
    """
    found: list[Finding] = []
    for one in crossed:
        question = Question("serving", one.locale, one.span, against)
        profile = seen.get(one.locale)
        if profile is None or not len(profile.bucket):
            found.append(question.unanswered(_NO_ROW[against]))
            continue

        def sides(feature: str, one: Crossed = one) -> Sequence[Side]:
            return (one.side(feature),)

        answers = answer(question, profile, one.profile, rules, monitoring, sides)
        if one.locale in restricted:
            answers = [item.model_copy(update={"distribution": None, "time_line": None}) for item in answers]
        found += answers
    return found


def _measured(findings: Sequence[Finding], comparison: Comparison, feature: str) -> tuple[Measurement, ...]:
    for finding in findings:
        if (finding.comparison, finding.feature) == (comparison, feature) and finding.measurements:
            return finding.measurements
    return ()


def _faults(findings: Sequence[Finding]) -> list[Fault]:
    """Faults that a region released as causes."""
    found: dict[tuple[str, str], Fault] = {}
    for finding in findings:
        cause = finding.cause
        if cause is not None and cause.name in DATA_FAULTS:
            fault = Fault(cause.name, finding.feature, cause.begin, cause.end, {}, cause.words)  # type: ignore[arg-type]
            found.setdefault((cause.name, finding.feature), fault)
    return list(found.values())
