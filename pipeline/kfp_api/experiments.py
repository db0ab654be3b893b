"""Experiments: KFP's folders of runs, each in one namespace."""

from __future__ import annotations

from dataclasses import dataclass

from components.errors import ConfigError
from pipeline.kfp_api.client import Api, equals
from pipeline.kfp_api.failures import ApiError


@dataclass(frozen=True)
class Experiment:
    """An experiment: id, name, and the namespace that its runs are in (empty for single-user)."""

    experiment_id: str
    name: str
    namespace: str


def find(api: Api, name: str) -> Experiment | None:
    """The experiment of this name in the connection's namespace; None where there is none.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    found = api.pages(
        "Experiment",
        "list_experiments",
        f"experiments{_in(api)}",
        "experiments",
        namespace=api.connection.namespace,
        filter=equals("display_name", name),
    )
    for item in found:
        if item.get("display_name") == name:
            return Experiment(item["experiment_id"], name, item.get("namespace", ""))
    return None


def existing(api: Api, name: str) -> Experiment:
    """As `find`.

    Raises:
      ConfigError: there is none of this name.
    """
    found = find(api, name)
    if found is None:
        raise ConfigError(f"experiment {name}{_in(api)}: none at {api.connection.endpoint}")
    return found


def ensure(api: Api, name: str) -> Experiment:
    """The experiment of this name, made where there is none.

    Raises:
      ApiError: the API does not answer, or refuses.
    """
    import kfp_server_api

    found = find(api, name)
    if found is not None:
        return found
    body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=api.connection.namespace or None)
    try:
        made = api.write("Experiment", "create_experiment", f"experiment {name}{_in(api)}", body=body)
    except ApiError as error:
        # Somebody else made it between the two requests.
        found = find(api, name) if error.status == 409 else None
        if found is None:
            raise
        return found
    return Experiment(made["experiment_id"], name, made.get("namespace", ""))


def _in(api: Api) -> str:
    return f" in namespace {api.connection.namespace}" if api.connection.namespace else ""
