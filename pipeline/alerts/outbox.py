"""The outbox and the state as files: written before anything is sent.

`outbox/` holds what is on its way, `failed/` what a server refused for good or what grew too old.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import pydantic

from components.errors import DataError
from pipeline.alerts.clock import Clock
from pipeline.alerts.outgoing import Outgoing
from pipeline.alerts.place import Place
from pipeline.alerts.state import AlertState, new_state

STATE, OUTBOX, FAILED = "state.json", "outbox", "failed"
#: The state is held for as long as it takes to read and write it.
_STATE_WAIT_S, _STATE_LEASE_S = 20.0, 60.0


def load_state(place: Place, deployment: str) -> AlertState:
    """The state, or a new one, which is written at once: ids of messages hang on it.

    Call it with the state locked.

    Raises:
      DataError: it cannot be read, is not ours, or is another deployment's.
    """
    state = read_state(place, deployment)
    if state is None:
        state = new_state(deployment)
        save_state(place, state)
    return state


def read_state(place: Place, deployment: str) -> AlertState | None:
    """The state as it stands; None where there is none yet. Writes nothing.

    Raises:
      DataError: it cannot be read, is not ours, or is another deployment's.
    """
    data = place.read(STATE)
    if data is None:
        return None
    where = place.store.address(STATE)
    try:
        state = AlertState.model_validate(data)
    except pydantic.ValidationError as error:
        version = data.get("version") if isinstance(data, dict) else None
        found = f"version {version}" if version != 1 else str(error.errors()[0]["loc"])
        why = f"no state of this version ({found})"
        raise DataError(f"{where}: {why}. Move it away, then run again.") from None
    if state.deployment != deployment:
        raise DataError(
            f"{where}: belongs to the deployment '{state.deployment}'; allowed: an alerts.state of its own"
        )
    return state


def save_state(place: Place, state: AlertState) -> None:
    """Writes the state, whole."""
    place.write(STATE, state.model_dump(mode="json"))


def queue(place: Place, items: Iterable[Outgoing]) -> None:
    """Puts messages into the outbox; one that was sent already leaves it unsent (`flush`)."""
    for item in items:
        put(place, item)


def outgoing_of(place: Place, folder: str = OUTBOX) -> list[Outgoing]:
    """The messages of a folder, in order.

    Raises:
      DataError: a file there is no message.
    """
    found = []
    for name in place.names(folder):
        data = place.read(f"{folder}/{name}")
        if data is None:
            continue  # another process was quicker
        try:
            found.append(Outgoing.model_validate(data))
        except pydantic.ValidationError:
            where = place.store.address(folder, name)
            raise DataError(f"{where}: no message of this version. Move it away, then run again.") from None
    return found


def put(place: Place, item: Outgoing, folder: str = OUTBOX) -> None:
    """Writes a message, whole."""
    place.write(f"{folder}/{item.name}", item.model_dump(mode="json"))


def remove(place: Place, item: Outgoing, folder: str = OUTBOX) -> None:
    """Takes a message out."""
    place.delete(f"{folder}/{item.name}")


def make_due(place: Place, state: AlertState, now: str) -> AlertState:
    """Ends every pause after a failure, with the state locked; what is held in quiet hours stays held."""
    for item in outgoing_of(place):
        if not item.held and item.not_before > now:
            put(place, item.model_copy(update={"not_before": now}))
    return state.model_copy(update={"pauses": {}})


def bring_back(place: Place, now: str) -> int:
    """Puts what was set aside into the outbox again, with its age forgotten; gives how many."""
    items = outgoing_of(place, FAILED)
    for item in items:
        put(place, item.model_copy(update={"created": now, "not_before": now, "attempts": 0, "held": False}))
        remove(place, item, FAILED)
    return len(items)


def state_lock(place: Place, clock: Clock) -> AbstractContextManager[None]:
    """Holds the state for reading and writing it."""
    return place.locked("state", clock, wait_s=_STATE_WAIT_S, lease_s=_STATE_LEASE_S)
