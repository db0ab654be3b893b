"""The privacy statement of a release: typed where a machine compares it, sentences where a person signs.

The words for units and neighbouring data sets are those of `dp_accounting` (google/differential-privacy).
"""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig

NO_MECHANISM = "none: no differential privacy"
_LINE = 1000

PrivacyUnit = Literal["record", "window", "series"]
Adjacency = Literal["add_or_remove_one", "replace_one", "replace_special"]

#: Fields of a statement that a mechanism has, and nothing else.
_BOUND = ("epsilon", "delta", "unit", "adjacency", "sampling")
_UNITS = {"record": "one row", "window": "one window of rows", "series": "everything of one series"}
_NEIGHBOURS = {
    "add_or_remove_one": "one of them is the other with {unit} added or removed",
    "replace_one": "one of them is the other with {unit} replaced by another",
    "replace_special": "one of them is the other with {unit} replaced by an empty record",
}


class PrivacyClaim(ComponentConfig):
    """What a differentially private synthesizer achieved, as its accountant counted it.

    Attributes:
      mechanism: Name of the mechanism, such as `DP-SGD`.
      epsilon: The loss, dimensionless, per `unit`.
      delta: Probability with which epsilon may not hold, dimensionless.
      unit: Whose presence or absence the bound is about.
      adjacency: What neighbouring data sets are.
      sampling: How units were sampled while training, in words.
      notes: Further sentences about what the bound covers and what it does not.
    """

    mechanism: str = pydantic.Field(min_length=1, max_length=200)
    epsilon: float = pydantic.Field(ge=0)
    delta: float = pydantic.Field(ge=0, lt=1)
    unit: PrivacyUnit
    adjacency: Adjacency
    sampling: str = pydantic.Field(min_length=1, max_length=_LINE)
    notes: tuple[str, ...] = ()

    @pydantic.field_validator("mechanism")
    @classmethod
    def _check_mechanism(cls, mechanism: str) -> str:
        if mechanism.lower().startswith("none"):
            raise ValueError("a claim needs a mechanism; leave the claim out where there is none")
        return mechanism


class PrivacyStatement(ComponentConfig):
    """What protects the people behind the rows.

    Attributes:
      mechanism: `none: no differential privacy`, or the mechanism's name; only then are the next five set.
      epsilon, delta, unit, adjacency, sampling: As in `PrivacyClaim`.
      sentences: The same in words, and what is covered and what is not.
    """

    mechanism: str = pydantic.Field(default=NO_MECHANISM, min_length=1, max_length=200)
    epsilon: float | None = pydantic.Field(default=None, ge=0)
    delta: float | None = pydantic.Field(default=None, ge=0, lt=1)
    unit: PrivacyUnit | None = None
    adjacency: Adjacency | None = None
    sampling: str | None = pydantic.Field(default=None, min_length=1, max_length=_LINE)
    sentences: tuple[str, ...] = pydantic.Field(min_length=1, max_length=64)

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> PrivacyStatement:
        given = [getattr(self, name) is not None for name in _BOUND]
        if self.mechanism == NO_MECHANISM and any(given):
            raise ValueError(f"mechanism '{NO_MECHANISM}' has no epsilon, delta, unit, adjacency or sampling")
        if self.mechanism != NO_MECHANISM and not all(given):
            raise ValueError("a mechanism needs epsilon, delta, unit, adjacency and sampling")
        return self


def open_statement(locale: str, span: int, extra: tuple[str, ...] = ()) -> PrivacyStatement:
    """The statement of real rows that an open locale shares; `extra` sentences come last."""
    return PrivacyStatement(
        sentences=(
            f"These are the validated rows of locale {locale}, span {span}, themselves, not synthetic ones.",
            "The sharing policy of the locale is open: nothing but its PII policy was applied to them.",
            "Mechanism: none. No differential privacy was used.",
            "Covered: columns that the locale's PII policy drops, redacts, generalises or pseudonymises.",
            "Not covered: everything else in these rows is as it was recorded.",
            *extra,
        )
    )


def synthetic_statement(
    locale: str, span: int, claim: PrivacyClaim | None = None, extra: tuple[str, ...] = ()
) -> PrivacyStatement:
    """The statement of synthetic rows: what the claim says, or that there is no bound.

    Args:
      locale, span: Where the rows that the model was trained on are from.
      claim: What the synthesizer's accountant counted; None for one without differential privacy.
      extra: Further sentences, at the end.
    """
    origin = f"These rows were drawn from a generative model trained on rows of locale {locale}, span {span}."
    attacks = (
        "Covered: the attacks and copy checks that this manifest's gates name as passed were measured "
        "against held-out rows that the model never saw."
    )
    if claim is None:
        return PrivacyStatement(
            sentences=(
                origin,
                "Mechanism: none. Training and sampling used no differential privacy: there is no bound that "
                "holds against every attack and for every record.",
                attacks,
                "Not covered: attacks that are not named, attackers who combine this with other releases or "
                "sources, and what categories and column names reveal by existing.",
                *extra,
            )
        )
    unit = _UNITS[claim.unit]
    return PrivacyStatement(
        **claim.model_dump(exclude={"notes"}),
        sentences=(
            origin,
            f"Mechanism: {claim.mechanism}, with epsilon {claim.epsilon:g} and delta {claim.delta:g} "
            f"(both dimensionless) per {claim.unit}, that is {unit}.",
            f"Adjacency: two data sets are neighbours if {_NEIGHBOURS[claim.adjacency].format(unit=unit)}.",
            f"Sampling: {claim.sampling.rstrip('.')}.",
            f"Covered: whatever an attacker knows, the presence of {unit} changes the probability of any "
            f"outcome by at most a factor exp({claim.epsilon:g}), except with probability {claim.delta:g}.",
            attacks,
            "Not covered: several units of one person together, what this locale released before or will "
            "release (its budget ledger adds those up), and what categories and column names reveal by "
            "existing.",
            *claim.notes,
            *extra,
        ),
    )
