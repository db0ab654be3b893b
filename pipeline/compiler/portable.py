"""A deployment as it is in a pod: public keys as text, what is kept in the zone's own state.

Paths of the machine that compiles mean nothing in a pod. What a pod can read is a URI, a mounted
volume, a mounted secret or an environment variable; everything else is refused, by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components import beam_engine
from components.errors import ConfigError, list_briefly
from components.release.keys import load_public_key
from pipeline.addresses import is_address, within
from pipeline.config.model import Deployment, LocaleSection
from pipeline.config.placement import PlacementSection

if TYPE_CHECKING:
    from pipeline.compiler.graph import GraphNode

#: Where a zone without state keeps what its components want to keep: gone with the pod.
SCRATCH = "/tmp/isthmus-state"


def in_pods(deployment: Deployment, placement: PlacementSection) -> Deployment:
    """The deployment with public keys as text and the zone's state as its root.

    Raises:
      ConfigError: a public key cannot be read.
    """
    found = deployment.model_copy(
        update={
            "locales": tuple(_with_keys(locale) for locale in deployment.locales),
            "root": placement.state or SCRATCH,
        }
    )
    found._file_digest = deployment.file_digest
    return found


def _with_keys(locale: LocaleSection) -> LocaleSection:
    keys = tuple(
        entry.model_copy(update={"key": load_public_key(entry.key).to_text()}) for entry in locale.trusted_key
    )
    return locale.model_copy(update={"trusted_key": keys})


def check_places(zone: str, nodes: list[GraphNode], placement: PlacementSection, exchange: str) -> None:
    """Refuses what a pod of the zone could not read.

    Args:
      zone: The locale's name, or `central`.
      nodes: Of the zone's graph.
      placement: Where its pods run.
      exchange: The exchange's address.

    Raises:
      ConfigError: a path of this machine, or a variable that no secret fills.
    """
    mounts = (*placement.mounts, SCRATCH)
    own = placement.store.model_dump(mode="json") if placement.store else {}
    told = {**{node.id: node.properties for node in nodes}, "placement.store": own}
    check_told_places(zone, told, placement)
    if _is_path(exchange) and not _mounted(exchange, mounts):
        raise ConfigError(f"{zone}: exchange.uri: {_elsewhere('a URI or a path', exchange, placement)}")


def check_told_places(zone: str, told: Mapping[str, Any], placement: PlacementSection) -> None:
    """Refuses secrets and paths that a pod of the zone does not have.

    Args:
      zone: The locale's name, or `central`.
      told: What its steps are told, by the name that a refusal begins with.
      placement: Where its pods run.

    Raises:
      ConfigError: a path of this machine, or a variable that no secret fills.
    """
    mounts = (*placement.mounts, SCRATCH)
    variables = {item.env for item in placement.secret_env}
    for place, secret in _secrets(told):
        name, file = secret.get("env"), secret.get("file")
        if name and name not in variables:
            raise ConfigError(
                f"{zone}: {place}: found environment variable {name}, which no secret fills; allowed: an "
                f"entry of placement.secret_env with env: {name}"
                + (f" (there are {list_briefly(sorted(variables))})" if variables else "")
            )
        if file and not _mounted(str(file), mounts):
            raise ConfigError(f"{zone}: {place}: {_elsewhere('{env: NAME} or a file', str(file), placement)}")
    for place, address in _addresses(told):
        if _is_path(address) and not _mounted(address, mounts):
            raise ConfigError(f"{zone}: {place}: {_elsewhere('a URI or a path', address, placement)}")


def check_meeting(zone: str, beam_args: Sequence[str], placement: PlacementSection) -> None:
    """Refuses a folder for a step and workers elsewhere to meet in that is no mounted volume.

    Raises:
      ConfigError: a path that only the pod has.
    """
    location = beam_engine.option(beam_args, "temp_location")
    if not beam_engine.workers_elsewhere(beam_args) or not _is_path(location):
        return
    if not _mounted(location, placement.mounts):
        raise ConfigError(f"{zone}: beam.temp_location: {_elsewhere('a URI or a path', location, placement)}")


def _elsewhere(kinds: str, found: str, placement: PlacementSection) -> str:
    mounts = list_briefly(placement.mounts) if placement.mounts else "placement has none"
    return f"found {found}, a path of this machine; allowed: {kinds} below a mount ({mounts})"


def _mounted(path: str, mounts: tuple[str, ...]) -> bool:
    return any(within(path, mount) for mount in mounts)


def _is_path(address: str) -> bool:
    return "://" not in address or address.startswith(("file://", "local://"))


def _secrets(told: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, properties in told.items():
        yield from (
            (place, value)
            for place, value in walk(properties, name)
            if isinstance(value, Mapping) and set(value) == {"env", "file"}
        )


def _addresses(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, properties in told.items():
        for place, value in walk(properties, name):
            if isinstance(value, str) and is_address(value):
                yield place, value


def walk(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every mapping and scalar with its dotted place; what is inside a reference to a secret is left out."""
    if isinstance(value, Mapping):
        yield place, value
        if set(value) == {"env", "file"}:
            return
        for key, item in value.items():
            yield from walk(item, place if key.startswith("$") else f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from walk(item, place)
    else:
        yield place, value
