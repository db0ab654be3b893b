"""Recurring runs: a pipeline that the server starts by a cron schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import ConfigError
from pipeline.kfp_api.client import Api
from pipeline.kfp_api.cron import with_seconds
from pipeline.kfp_api.runs import Order

#: What the server allows (`toModelJob`, backend/src/apiserver/server/api_converter.go).
MOST_AT_ONCE = 10


@dataclass(frozen=True)
class Schedule:
    """A recurring run: id, name, six-field cron, and whether it is enabled."""

    schedule_id: str
    name: str
    cron: str
    enabled: bool


def start(api: Api, order: Order, cron: str, *, enabled: bool = True, at_once: int = 1) -> Schedule:
    """Makes a recurring run. Missed times are not caught up: the next run takes the newest span anyway.

    Args:
      api: The API.
      order: What is run.
      cron: Five fields, or six with the second before them.
      enabled: False makes it without starting anything.
      at_once: How many of its runs may go at a time.

    Raises:
      ConfigError: a wrong schedule or number, or a recurring run of this name in the experiment.
      ApiError: the API does not answer, or refuses.
    """
    import kfp_server_api

    text = with_seconds(cron)
    check_at_once(at_once)
    # The server would take a second one of the same name, and everything would run twice.
    for other in find(api, order.experiment_id):
        if other.name == order.name:
            raise ConfigError(
                f"recurring run {order.name}: exists already ({other.schedule_id}, cron {other.cron!r}); "
                "allowed: another --run-name, or delete that one first"
            )
    body = kfp_server_api.V2beta1RecurringRun(
        **order.fields(),
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=text)),
        mode="ENABLE" if enabled else "DISABLE",
        max_concurrency=str(at_once),
        no_catchup=True,
        namespace=api.connection.namespace or None,
    )
    what = f"recurring run {order.name}"
    return _schedule(api.write("RecurringRun", "create_recurring_run", what, body=body))


def check_at_once(at_once: int) -> None:
    """Raises ConfigError where the server would not allow as many runs at a time."""
    if not 1 <= at_once <= MOST_AT_ONCE:
        raise ConfigError(f"--max-concurrency {at_once}; allowed: 1 to {MOST_AT_ONCE}")


def find(api: Api, experiment_id: str) -> Iterator[Schedule]:
    """The recurring runs of an experiment.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    fields = {"experiment_id": experiment_id}
    found = api.pages("RecurringRun", "list_recurring_runs", "recurring runs", "recurringRuns", **fields)
    return (_schedule(item) for item in found)


def enable(api: Api, schedule_id: str, enabled: bool) -> None:
    """Switches a recurring run on or off.

    Raises:
      ApiError: the API does not answer, or there is none.
    """
    method = "enable_recurring_run" if enabled else "disable_recurring_run"
    api.write("RecurringRun", method, f"recurring run {schedule_id}", recurring_run_id=schedule_id)


def delete(api: Api, schedule_id: str) -> None:
    """Deletes a recurring run; its runs stay.

    Raises:
      ApiError: the API does not answer, or there is none.
    """
    what = f"recurring run {schedule_id}"
    api.write("RecurringRun", "delete_recurring_run", what, recurring_run_id=schedule_id)


def _schedule(item: Mapping[str, Any]) -> Schedule:
    trigger = item.get("trigger") or {}
    cron = (trigger.get("cron_schedule") or {}).get("cron", "")
    enabled = item.get("status") == "ENABLED" or (not item.get("status") and item.get("mode") == "ENABLE")
    return Schedule(str(item.get("recurring_run_id", "")), item.get("display_name", ""), cron, enabled)
