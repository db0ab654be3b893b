"""Which secrets a step's pod gets: those that its own properties refer to, and no other's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.addresses import within
from pipeline.compiler.portable import walk
from pipeline.config.placement import PlacementSection


def restrict(placement: PlacementSection, step: Any, zone: Iterable[Any]) -> PlacementSection:
    """The placement of one step.

    What no step of the zone refers to is taken for what a client library looks for by itself (a token, a
    region's name) and goes to every step.

    Args:
      placement: Of the zone.
      step: What the step is told; JSON values.
      zone: The same of every step of the zone.
    """
    mine, all_of_them = _references(step), set[str]().union(*(_references(told) for told in zone))
    store = _references({"store": placement.store.model_dump(mode="json")}) if placement.store else set()
    mine |= store
    return placement.model_copy(
        update={
            "secret_env": tuple(
                item
                for item in placement.secret_env
                if item.env in mine or item.env not in all_of_them | store
            ),
            "secret_volumes": tuple(
                item
                for item in placement.secret_volumes
                if _used(item.mount_path, mine) or not _used(item.mount_path, all_of_them | store)
            ),
        }
    )


def _references(value: Any) -> set[str]:
    """Names of variables and paths of files that references to secrets name."""
    found = set()
    for place, item in walk(value, ""):
        if isinstance(item, dict) and set(item) == {"env", "file"}:
            found |= {str(name) for name in item.values() if name}
        elif isinstance(item, str) and place.endswith(".token_file"):
            found.add(item)  # a secret too, which the store's client reads
    return found


def _used(mount: str, references: set[str]) -> bool:
    return any(name.startswith("/") and within(name, mount) for name in references)
