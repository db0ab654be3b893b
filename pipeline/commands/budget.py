"""`isthmus budget`: what a locale has spent of its privacy budget, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.errors import ConfigError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

if TYPE_CHECKING:
    from components.governance.core.ledger import Ledger

LocaleOption = Annotated[Optional[str], typer.Option(help="Only this locale.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(budget)


def budget(
    config: ConfigArgument,
    locale: LocaleOption = None,
    release_reservation: Annotated[
        Optional[str],
        typer.Option(help="Give this reservation back: nothing made with it was, or will be, published."),
    ] = None,
    change: Annotated[
        bool, typer.Option("--change", help="Set the ledger's budget to the configured one.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, for the ledger; needed for both of these.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what is spent and left of each locale's privacy budget, and how many more releases fit."""
    from pipeline import governance

    deployment = load(config)
    names = governance.chosen(deployment, locale)
    if release_reservation or change:
        _write(deployment, locale, release_reservation, change, reason)
    found = {name: _standing(deployment, name) for name in names}
    if as_json:
        print_json(found)
        return
    for name, standing in found.items():
        for line in words(name, standing):
            print(line)


def _write(deployment: Any, locale: str | None, reservation: str | None, change: bool, reason: str) -> None:
    from components.release.keys import load_private_key
    from pipeline import governance

    if locale is None or not reason.strip():
        missing = "--locale" if locale is None else "--reason"
        raise ConfigError(f"{missing}: missing; the ledger of one locale is changed, and says why")
    ledger = governance.ledger_of(deployment, locale)
    if ledger is None:
        raise ConfigError(f"locale {locale}: has no privacy budget (privacy.budget)")
    key = load_private_key(deployment.locale(locale).signing_key)
    if change:
        ledger.open(key, deployment.locale(locale).privacy.budget, reason, change=True)
    if reservation:
        ledger.release(key, reservation, reason)


def _standing(deployment: Any, name: str) -> dict[str, Any] | None:
    """JSON about a locale's ledger; None where it has no budget."""
    from components.governance.core.anchors import check_ledger
    from components.governance.core.events import together
    from components.governance.core.ledger_state import LedgerState
    from components.governance.core.summary import standing
    from components.synthesizer_trainer.privacy_cost import planned_cost
    from pipeline import governance
    from pipeline.config.resolve_regional import regional_configs
    from pipeline.config.sketching import planned_sketch

    ledger = governance.ledger_of(deployment, name)
    if ledger is None:
        return None
    configured = deployment.locale(name).privacy.budget
    state = ledger.state()
    check_ledger(governance.published(deployment, name), state, ledger.place)
    opened = state.budget is not None
    configs = regional_configs(deployment, name)
    planned = None
    if configs.synthesizer is not None:
        model = planned_cost(configs.synthesizer, configured.unit)
        planned = together([model, *planned_sketch(configs.sketch)])
    if not opened:
        state = LedgerState(budget=configured)
    elif configured.same_limit(state.budget):
        state.budget = configured  # the cadence is the configuration's to say
    return {
        "opened": opened,
        "configured": configured.model_dump(mode="json"),
        **standing(state, planned),
        "reservations": _reservations(ledger, state),
    }


def _reservations(ledger: Ledger, state: Any) -> list[dict[str, Any]]:
    from components.governance.core.accounting import spent_epsilon

    limit = state.budget
    return [
        {
            "reservation": found.identifier,
            "at": found.at,
            "span": found.span,
            "work": "sketch" if found.is_sketch else "model",
            "status": found.status,
            "epsilon": spent_epsilon([found.cost], limit.delta, limit.neighboring_relation),
            "content_digests": found.content_digests,
        }
        for found in state.reservations.values()
    ]


def words(name: str, standing: dict[str, Any] | None) -> list[str]:
    """A locale's budget in lines for people."""
    if standing is None:
        return [f"{name}: no privacy budget"]
    if not standing["opened"]:
        return [
            f"{name}: epsilon {standing['epsilon']:g} per {standing['unit']}; the first run opens the ledger"
        ]
    lines = [
        f"{name}: epsilon {_number(standing['spent'])} of {standing['epsilon']:g} spent "
        f"per {standing['unit']} at delta {standing['delta']:g} by {standing['releases']} models; "
        f"{_number(standing['counted'])} with {standing['reserved']} reservations; "
        f"{_number(standing['left'])} left"
    ]
    lines.append(f"  {forecast(standing)}")
    lines += [
        f"  {item['reservation']}  {item['at']}  span {item['span']}  {item['work']}  {item['status']}  "
        f"epsilon {item['epsilon']:.4g}"
        for item in standing["reservations"]
    ]
    if standing["failed"]:
        lines.append(
            f"  {standing['failed']} trainings failed after they had looked at the data; they are paid for"
        )
    if standing["refused"]:
        lines.append(f"  {standing['refused']} refused, because they would have exceeded the budget")
    return lines


def forecast(standing: dict[str, Any]) -> str:
    """How many more releases fit, in words."""
    left, each = standing["releases_left"], standing["release_epsilon"]
    if left is None:
        return "no release to go by yet"
    at_least = "at least " if standing["at_least"] else ""
    count = f"{at_least}{left} more release{'' if left == 1 else 's'} at epsilon {_number(each)} each"
    if standing["one_period"]:
        return f"{count}, of the configured period; other periods are counted apart"
    if standing["lasts_days"] is None:
        return count
    return f"{count}; {standing['cadence']}, that is {standing['lasts_days']:.0f} days"


def _number(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.4g}"
