"""What a Pusher knows of budget and approvals, from its configuration and the model at its input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from components.drift.core import outward
from components.errors import DataError
from components.governance.clearance import ClearanceDesk
from components.governance.core import accounting
from components.governance.core.events import (
    Composed,
    Event,
    Gaussian,
    Laplace,
    PoissonSampled,
    SelfComposed,
    together,
)
from components.governance.core.spending import open_ledger, read_cost
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.release.keys import load_private_key
from components.release.privacy import PrivacyClaim
from components.release.storage import open_store

SKETCH_MECHANISM = "Gaussian mechanism on counts (sketch.json)"
SKETCH_NOTE = (
    "Epsilon counts both the model and sketch.json, whose counts of real rows have noise of their own. That "
    "the release has a sketch, and its public bins and days, are not covered."
)


def push_governed(
    config: PusherConfig, locale: str, span: int, inputs: RegionInputs, model: Path | None = None
) -> dict[str, Any]:
    """`push_region`, with the budget and the people asked first.

    Args:
      config: Where to, with which key.
      locale, span: Where the rows are from.
      inputs: What to make the release of.
      model: The model that the rows were drawn from.

    Returns:
      The content of `push.json`.

    Raises:
      PrivacyBudgetExceededError: the budget does not allow it.
      DataError, ConfigError: as `push_region`, and where a log, a policy or a cost is not in order.
    """
    paid = check_sketch_cost(config, inputs.sketch, f"locale={locale} span={span}")
    desk = open_desk(config, model, paid)
    stated = with_sketch_loss(with_privacy_loss(config, model), model, paid)
    report = push_region(stated, locale, span, inputs, desk.before_publish)
    return desk.close(report)


def check_sketch_cost(config: PusherConfig, sketch: Path | None, place: str) -> Path | None:
    """The folder of a sketch whose noise is paid for with the release; None where it has none.

    Raises:
      DataError: it does not say what it cost, or something else than the locale's policy has.
    """
    rules = config.egress.sketch.rules()
    if rules is None or rules.noise is None:
        return None
    found = read_cost(sketch, place)
    if found.model_copy(update={"work_id": ""}) != outward.cost(rules):
        raise DataError(
            f"{place}: the sketch says that it cost something else than the locale's policy has; nothing was "
            "published. Run the locale again."
        )
    return sketch


def with_sketch_loss(config: PusherConfig, model: Path | None, sketch: Path | None) -> PusherConfig:
    """The configuration whose claim counts the sketch's noise too: both go out in one release.

    Raises:
      DataError: the model does not say what it cost, or of another unit.
    """
    if sketch is None or config.privacy is None:
        return config
    claim = config.privacy
    both = together([read_cost(part, "release") for part in (model, sketch)])
    epsilon = accounting.epsilon_of(accounting.Tally.of(both.events), claim.delta, both.neighboring_relation)
    counted = {
        "epsilon": math.ceil(epsilon * 1e6) / 1e6,
        "mechanism": f"{claim.mechanism}, and {SKETCH_MECHANISM}"[:200],
        "notes": (*claim.notes, SKETCH_NOTE),
    }
    return config.model_copy(update={"privacy": claim.model_copy(update=counted)})


def open_desk(config: PusherConfig, model: Path | None, sketch: Path | None = None) -> ClearanceDesk:
    """The desk that this Pusher asks; it clears everything where the locale has no governance.

    Args:
      config: Where to, with which key.
      model: What the rows were drawn from.
      sketch: What goes with them and is paid for as well.

    Raises:
      ConfigError: the signing key cannot be read.
    """
    if config.governance is None:
        return ClearanceDesk(None, None, None)
    store = open_store(config.exchange_uri, options=config.storage)
    return ClearanceDesk(config.governance, load_private_key(config.signing_key), store, model, sketch)


def with_privacy_loss(config: PusherConfig, model: Path | None) -> PusherConfig:
    """The configuration with the model's own loss in it, for the manifest, where it has none and a budget.

    It is the loss of this model alone, so that the same release has the same content whatever was
    released before it; the sum over releases stays in the ledger.

    Raises:
      DataError: the model does not say what it cost.
    """
    if config.privacy is not None:
        return config  # the synthesizer's own words
    ledger = open_ledger(config.governance) if config.governance else None
    budget = ledger.state().budget if ledger is not None else None
    if ledger is None or budget is None:
        return config
    cost = read_cost(model, f"locale={ledger.locale}")
    epsilon = accounting.epsilon_of(accounting.Tally.of(cost.events), budget.delta, cost.neighboring_relation)
    if not math.isfinite(epsilon):
        return config  # there is nothing to claim; the ledger refuses it
    claim = PrivacyClaim(
        mechanism=" and ".join(sorted(_mechanisms(cost.events))) or "no look at the data",
        epsilon=round(epsilon, 6),
        delta=budget.delta,
        unit=cost.unit,
        adjacency=cost.neighboring_relation,
        sampling="; ".join(sorted(_samplings(cost.events))) or "none: every unit was used",
    )
    return config.model_copy(update={"privacy": claim})


def _leaves(events: tuple[Event, ...]) -> list[Event]:
    found: list[Event] = []
    for event in events:
        if isinstance(event, Composed):
            found += _leaves(event.events)
        elif isinstance(event, SelfComposed):
            found += _leaves((event.event,))
        else:
            found.append(event)
    return found


def _mechanisms(events: tuple[Event, ...]) -> set[str]:
    names = {Gaussian: "Gaussian mechanism", Laplace: "Laplace mechanism"}
    inner = [event.event if isinstance(event, PoissonSampled) else event for event in _leaves(events)]
    return {names[type(event)] for event in inner if type(event) in names}


def _samplings(events: tuple[Event, ...]) -> set[str]:
    sampled = [event for event in _leaves(events) if isinstance(event, PoissonSampled)]
    return {f"Poisson sampling with probability {event.sampling_probability:g}" for event in sampled}
