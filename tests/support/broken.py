"""A compiled spec that is broken by hand, and must then be refused."""

from __future__ import annotations

import copy
import json

import pytest

from pipeline.border_model import BorderError
from pipeline.compiler.border import prove
from pipeline.compiler.lower import Compiled
from tests.support.compiled import graphs, tasks


class Broken:
    """A copy of a compiled spec, to be broken."""

    def __init__(self, deployment, spec: Compiled) -> None:
        self.deployment = deployment
        self.spec = copy.deepcopy(spec)
        self.pipeline = self.spec.pipeline
        self.components = self.pipeline["components"]

    def task(self, name):
        return next(found[name] for _, found in graphs(self.spec) if name in found)

    def dag(self, name):
        return self.components[f"comp-{name}"]["dag"]

    def container(self, task):
        return self.pipeline["deploymentSpec"]["executors"][f"exec-{task}"]["container"]

    def tell(self, name, change):
        """Changes what a task's container is told, in the spec."""
        told = copy.deepcopy(tasks(self.spec)[name].told)
        change(told)
        given = self.task(name)["inputs"]["parameters"]
        given["template"] = {"runtimeValue": {"constant": json.dumps(told)}}
        given["own"] = {"runtimeValue": {"constant": "{}"}}

    def give(self, name, key, source, kind="parameters"):
        self.task(name)["inputs"].setdefault(kind, {})[key] = source

    def refused(self, *words):
        with pytest.raises(BorderError) as caught:
            prove(self.deployment, [self.spec])
        message = str(caught.value)
        assert message.startswith("border: ") and "\n" not in message and "allowed:" in message
        missing = [word for word in words if word not in message]
        assert not missing, message
