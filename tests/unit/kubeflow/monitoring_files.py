"""The rules and dashboards of `kubeflow/monitoring`, and the queries in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[3] / "kubeflow" / "monitoring"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
#: What Grafana puts in the place of its variables where all values are chosen.
VARIABLES = {"$deployment": ".*", "$locale": ".*", "$comparison": ".*", "$feature": ".*"}


def rule_groups() -> list[dict[str, Any]]:
    """The groups of `rules.yaml`."""
    return yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Rules by name; `kind` is `alert` or `record`."""
    return {rule[kind]: rule for group in rule_groups() for rule in group["rules"] if kind in rule}


def dashboard(path: Path) -> dict[str, Any]:
    """A dashboard as Grafana takes it."""
    return json.loads(path.read_text())


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def queries(path: Path) -> Iterator[tuple[str, str]]:
    """Place and PromQL of every query of a dashboard, its variables filled in."""
    for panel in panels(path):
        for target in panel["targets"]:
            yield f"{path.stem}: {panel['title']}: {target['refId']}", filled(target["expr"])


def variable_queries(path: Path) -> Iterator[tuple[str, str, str]]:
    """Name, selector and label of the variables that ask Prometheus."""
    for variable in dashboard(path)["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match is not None, variable["name"]
            yield variable["name"], filled(match[1]), match[2]


def filled(expression: str) -> str:
    """A query with its variables filled in."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric of ours in a query, and the labels that its selector names."""
    for name, inside in re.findall(r"\b(isthmus[_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', inside)))
