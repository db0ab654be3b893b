"""What `isthmus tune` says of a search: JSON values, one sentence, and the YAML fragment to paste."""

from __future__ import annotations

import dataclasses
import statistics
import textwrap
from typing import Any

import yaml

from components.errors import InternalError
from components.tuner.config import configured
from components.tuner.core.choosing import LEVEL, MIN_PAIRS
from components.tuner.core.scoring import MAX_EXCESS, MEASURES, MEMBERSHIP
from components.tuner.core.study import Trial, Values, changed
from pipeline.tuning import Tuned

#: Of the form of what `--json` prints.
VERSION = 1
STAYS = (
    "Scores, and the values chosen by them, follow from raw rows. They are for the operator of the region, "
    "and stay there: no gate has seen them, and no privacy budget covers them."
)
SPENT = "No privacy budget was spent: method gan has no finite epsilon, and the locale has no budget."


def answer(tuned: Tuned, locale: str, minutes: float) -> dict[str, Any]:
    """A search as JSON values; what they mean stands in docs/tune.md.

    Args:
      tuned: The search.
      locale: The locale.
      minutes: That it was given.
    """
    study = tuned.study
    now: Values = {key: getattr(tuned.base, key) for key in tuned.space}
    result: dict[str, Any] = {"kind": study.kind, "trial": study.challenger, "words": words(tuned)}
    if study.comparison is not None:
        result |= {key: round(value, 6) for key, value in dataclasses.asdict(study.comparison).items()}
    return {
        "version": VERSION,
        "notice": STAYS,
        "privacy": SPENT,
        "locale": locale,
        "span": tuned.rows.span,
        "seed": tuned.seed,
        "rows": tuned.counts,
        "objective": {
            "score": "mean of the measures, 1 less those that are better low",
            "measures": {name: "higher" if MEASURES[name] else "lower" for name in study.parts},
            "guard": {"membership": MEMBERSHIP, "max_excess": MAX_EXCESS, "gate": "the locale's own rules"},
        },
        "space": {key: values.model_dump(mode="json") for key, values in tuned.space.items()},
        "configured": now,
        "budget": {"minutes": minutes, "spent_minutes": round(tuned.spent_s / 60, 2)},
        "trials": [_trial(tuned, trial) for trial in study.trials],
        "ended": study.ended,
        "result": result,
        "proposal": section(tuned),
    }


def _trial(tuned: Tuned, trial: Trial) -> dict[str, Any]:
    runs = [
        {
            "repeat": repeat,
            "score": _rounded(tuned.study.score(trial, repeat)),
            "measures": {name: _rounded(value) for name, value in outcome.measures.items()},
            "excess": _rounded(outcome.excess),
            "hindrance": outcome.hindrance,
            "status": outcome.status,
            "cpu_s": round(outcome.cpu_s, 2),
            "wall_s": round(outcome.wall_s, 2),
            "steps": outcome.steps,
            "stopped": outcome.stopped,
        }
        for repeat, outcome in sorted(trial.outcomes.items())
    ]
    return {"trial": trial.number, "values": trial.values, "hindrance": trial.hindrance, "runs": runs}


def words(tuned: Tuned) -> str:
    """What came of it, in one sentence."""
    study, none = tuned.study, "nothing beat the configuration as it stands"
    if study.kind == "time":
        known = [o.wall_s for trial in study.trials for o in trial.outcomes.values() if o.status == "done"]
        needed = ""
        if known:
            # The first, one challenger, and the pairs.
            minutes = (2 + 2 * MIN_PAIRS) * statistics.median(known) / 60
            needed = f", which takes about {minutes:.1f} at least here"
        return f"nothing was compared: --minutes ended before a challenger could be repeated{needed}"
    if study.kind == "none":
        if len(study.trials) == 1:
            return f"{none}: no other was tried"
        return f"{none}: no trial that may be chosen had a higher score than trial 0"
    assert study.challenger is not None
    trial = study.trials[study.challenger]
    if study.kind == "hindered":
        return f"{none}: trial {trial.number} had the highest score, but a repeat of it {trial.hindrance}"
    found = study.comparison
    assert found is not None
    told = (
        f"over {found.pairs} pairs of repeats its gain is {found.gain:+.4f} "
        f"(with {1 - LEVEL:.0%} confidence at least {found.least:+.4f}, p = {found.p_value:.2g})"
    )
    if study.kind == "noise":
        return f"{none} beyond noise: trial {trial.number} had the highest score, but {told}"
    return f"trial {trial.number} is better than the configuration as it stands: {told}"


def section(tuned: Tuned) -> dict[str, Any]:
    """Keys and values to change; empty where nothing beat the configuration as it stands.

    Raises:
      InternalError: the trainer's configuration would refuse what was tried.
    """
    if tuned.study.kind != "gain" or tuned.study.challenger is None:
        return {}
    now: Values = {key: getattr(tuned.base, key) for key in tuned.space}
    found = changed(tuned.study.trials[tuned.study.challenger].values, now)
    text = yaml.safe_dump(found)
    try:
        same = configured(tuned.base, yaml.safe_load(text)) == configured(tuned.base, found)
    except ValueError as error:
        raise InternalError(f"the trainer refuses the values that were tried: {error}") from error
    if not same:
        raise InternalError("the values that were tried do not survive YAML")
    return dict(found)


def fragment(found: dict[str, Any]) -> str:
    """The proposal as YAML for the locale's entry in the deployment file, the gain as a comment.

    Args:
      found: What `answer` gave, with a proposal.
    """
    said = (
        f"Found by isthmus tune for locale {found['locale']}, span {found['span']}, seed {found['seed']}: "
        f"{found['result']['words']}. Keys of that locale's synthesizer section. {STAYS}"
    )
    lines = [f"# {line}" for line in textwrap.wrap(said, 106)]
    lines.append("synthesizer:")
    for key, value in found["proposal"].items():
        lines.append(f"  {key}: {value}  # configured: {found['configured'][key]}")
    return "\n".join(lines) + "\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
