"""Lowers zones to components, executors and tasks of one spec."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from components.config_base import canonical_json
from pipeline.compiler import ir
from pipeline.compiler.graph import PIPELINE_PARAMETERS
from pipeline.compiler.names import Names
from pipeline.compiler.placeholders import names, unify
from pipeline.compiler.platform import executor_config, resources
from pipeline.compiler.secrets_of import restrict
from pipeline.compiler.steps import RESOLVE, Step
from pipeline.compiler.zones import Zone, content
from pipeline.config.kubeflow import KubeflowSection
from pipeline.config.model import slug
from pipeline.config.placement import PlacementSection, RegionStore

Data = dict[str, Any]
COMMAND = ["python", "-m", "pipeline.entrypoint"]
IMAGE = "{{$.inputs.parameters['image']}}"
#: Every step says over its outputs what they hold; the next step's cache key sees that, since it does
#: not see what is in a file.
DIGEST = "digest"
TEMPLATE = "template-"
#: The run's id, for steps that are never cached. Drivers fill it into constants
#: (`backend/src/v2/driver/resolve.go`), not into arguments.
RUN, RUN_PLACEHOLDER = "run", "{{$.pipeline_job_uuid}}"
#: By which Kubernetes waits longer than the step itself does.
GRACE_S = 120
_PAGES = {"report": "system.HTML", "summary": "system.Markdown"}
#: What a step shows in KFP's pages, by the nodes in it.
_VIEWS = {
    "Pusher": {"summary": "system.Markdown"},
    "ProphetEvaluator": {"metrics": "system.Metrics"},
    "ModelPusher": _PAGES,
}


class Spec:
    """A PipelineSpec and its platform spec while they grow."""

    def __init__(self, settings: KubeflowSection) -> None:
        """Args: settings: the deployment's `kubeflow` section."""
        self._settings = settings
        self.names = Names(reserved=("root",))
        self.components: dict[str, Data] = {}
        self.executors: dict[str, Data] = {}
        self.platform: dict[str, Data] = {}
        #: What the same step of many zones has in common: parameter to JSON text.
        self.templates: dict[str, str] = {}
        self._told: dict[tuple[str, str], tuple[str, Data, Data]] = {}
        self._known: dict[str, str] = {}
        self._alike: Counter[str] = Counter()
        self._closing: dict[str, Data] = {}

    def share(self, zones: Iterable[Zone], closing: Mapping[str, Data]) -> None:
        """Finds what the zones' steps have in common, and which zones are placed alike.

        Args:
          zones: All of the spec.
          closing: Zone to what the report beside it is told: its secrets are no other step's.
        """
        zones = list(zones)
        self._closing = dict(closing)
        self._alike = Counter(_class_of(zone.sharing, zone.placement) for zone in zones)
        groups: dict[str, list[tuple[Zone, Step]]] = {}
        for zone in zones:
            for step in (_first(zone), *zone.steps):
                groups.setdefault(f"{TEMPLATE}{zone.sharing}-{step.name}", []).append((zone, step))
        for name, members in groups.items():
            template, own = unify([content(zone, step) for zone, step in members])
            self.templates[name] = canonical_json(template)
            for (zone, step), mine in zip(members, own):
                self._told[zone.name, step.name] = (name, template, mine)

    def zone(self, zone: Zone, dag_name: str) -> list[str]:
        """Adds a zone's graph as component `comp-<dag_name>`; returns the parameters that it takes."""
        tasks: dict[str, Data] = {}
        task_of: dict[str, str] = {}
        taken: set[str] = set()
        for step in (_first(zone), *zone.steps):
            name = self.names.take(zone.name, step.name)
            task_of[step.name] = name
            tasks[name], used = self._task(zone, step, name, task_of)
            taken |= used
        self.components[f"comp-{dag_name}"] = ir.dag(tasks, taken)
        return sorted(taken)

    def closing(self, told: Data, host: Zone, name: str) -> list[str]:
        """Adds the component of a task at the end, `report` or `verdict`; returns its parameters.

        Args:
          told: What it is told.
          host: The zone that it runs in.
          name: Of the task.
        """
        step = Step(name, (), (), (), (), (), cached=False)
        parameters = {"template", "own", "zone", "image", "exchange", RUN}
        self._component(name, step, parameters, (), host, told, role="report")
        return ["exchange", "image"]

    def _task(self, zone: Zone, step: Step, name: str, task_of: dict[str, str]) -> tuple[Data, set[str]]:
        first = step.name == RESOLVE
        template_name, template, own = self._told[zone.name, step.name]
        needed = (names(template) | names(own) | {"image"}) - set(own)
        before = sorted(set(step.after) | (set() if first else {RESOLVE}))
        parameters: dict[str, Data] = {
            "zone": ir.constant(zone.name),
            "own": ir.constant(canonical_json(own)),
            "template": ir.passed_down(template_name),
        }
        if first or not step.cached:
            # The driver fills it in; a step with it is another step in every run.
            parameters[RUN] = ir.constant(RUN_PLACEHOLDER)
        passed = {template_name}
        for key in sorted(needed):
            if key in zone.facts and not first:
                parameters[key] = ir.from_task(task_of[RESOLVE], key)
            else:
                parameters[key] = ir.passed_down(key)
                passed.add(key)
        producers = sorted({_producer(zone, port.node) for port in step.inputs})
        for producer in producers:
            parameters[f"{DIGEST}-{producer}"] = ir.from_task(task_of[producer], DIGEST)
        artifacts = {
            port.name: ir.artifact_from(task_of[_producer(zone, port.node)], port.name)
            for port in step.inputs
        }
        component = self._component(
            name,
            step,
            set(parameters),
            zone.facts if first else (DIGEST,),
            zone,
            content(zone, step),
        )
        task = ir.task(
            name,
            component,
            parameters,
            artifacts=artifacts,
            after=[task_of[other] for other in before],
            cached=step.cached and not first and self._settings.cache,
            retry=self._retry(),
        )
        return task, passed

    def _component(
        self,
        name: str,
        step: Step,
        parameters: Iterable[str],
        facts: Iterable[str],
        zone: Zone,
        told: Data,
        role: str = "",
    ) -> str:
        """A leaf component with its executor; zones that are placed alike share it. Returns its name."""
        role = role or zone.role
        others = [told, *(content(zone, other) for other in (_first(zone), *zone.steps))]
        others.append(self._closing.get(zone.name, {}))
        placement = restrict(zone.placement, told, others)
        outputs = {port.name: port.type for port in step.outputs}
        for node in step.nodes:
            outputs |= _VIEWS.get(node.id, {})
        if role == "report":
            outputs |= _PAGES
        component = ir.leaf(
            "",
            (parameters, {port.name: port.type for port in step.inputs}),
            (facts, outputs),
        )
        arguments = [
            f"--step={step.name}",
            f"--role={role}",
            f"--sharing={zone.sharing}",
            f"--timeout-s={self._settings.step_timeout_s}",
        ]
        if placement.store is not None:
            arguments.append(f"--store={store_argument(placement.store)}")
        if placement.state is not None:
            arguments.append(f"--state={placement.state}")
        labels = {
            "app.kubernetes.io/name": "isthmus",
            "isthmus.dev/role": role,
            "isthmus.dev/sharing": zone.sharing,
        }
        # Pods of zones that share an executor cannot be told apart; a zone with secrets of its own can.
        if self._alike[_class_of(zone.sharing, zone.placement)] <= 1:
            labels["isthmus.dev/locale"] = slug(zone.name)
        container: Data = {"image": IMAGE, "command": COMMAND, "args": arguments}
        if asked := resources(placement, step.name):
            container["resources"] = asked
        config = executor_config(placement, labels, self._settings.step_timeout_s + GRACE_S)
        key = canonical_json([component, container, config])
        if key in self._known and role == "region":
            return self._known[key]
        # Back ends keep one component per identical container; the name tells them apart.
        container["args"] = [
            f"--task={name}",
            *arguments,
            "--executor_input",
            "{{$}}",
        ]
        found = f"comp-{name}"
        label = f"exec-{name}"
        self._known[key] = found
        self.components[found] = component | {"executorLabel": label}
        self.executors[label] = {"container": container}
        self.platform[label] = config
        return found

    def _retry(self) -> Data:
        """`retryPolicy`; `backoffMaxDuration` bounds all attempts together, from the first one's start."""
        settings = self._settings.retries
        waits = sum(settings.backoff_s * settings.backoff_factor**i for i in range(settings.max_retries))
        longest = (settings.max_retries + 1) * self._settings.step_timeout_s + waits + 3600
        return {
            "maxRetryCount": settings.max_retries,
            "backoffDuration": f"{settings.backoff_s}s",
            "backoffFactor": settings.backoff_factor,
            "backoffMaxDuration": f"{longest}s",
        }


def _class_of(sharing: str, placement: PlacementSection) -> str:
    return canonical_json([sharing, placement.model_dump(mode="json")])


def store_argument(store: RegionStore) -> str:
    """A bucket as an argument: what its class would say anyway is left out, five times per region."""
    return canonical_json(store.model_dump(mode="json", exclude_defaults=True))


def is_template(parameter: str) -> bool:
    """Whether a parameter is a template: written where the outermost graph is used."""
    return parameter.startswith(TEMPLATE)


def pipeline_inputs(defaults: dict[str, Any]) -> Data:
    """The pipeline's own parameters with their defaults."""
    words = {
        "span": "Which span the regions run; -1 is what the deployment says, else the newest.",
        "seed": "Seed of splits, training and sampling; release noise is never seeded.",
        "exchange": "Where releases go and are merged from.",
        "image": "Container image of every step.",
    }
    return {
        "parameters": {
            name: ir.parameter_with_default(name, defaults[name], words[name]) for name in PIPELINE_PARAMETERS
        }
    }


def _first(zone: Zone) -> Step:
    """The step that looks at sources and exchange; never cached."""
    return Step(RESOLVE, (), (), (), (), (), cached=False)


def _producer(zone: Zone, node: str) -> str:
    return next(step.name for step in zone.steps if any(found.id == node for found in step.nodes))


@dataclasses.dataclass(frozen=True)
class Compiled:
    """One spec.

    Attributes:
      name: Of the pipeline.
      pipeline: The PipelineSpec as plain data.
      platform: The platform spec as plain data.
    """

    name: str
    pipeline: Data
    platform: Data
