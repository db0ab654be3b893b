"""The workflow engine: DAGs, exit hooks and retries, as Argo runs what KFP's compiler makes of a spec."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubeflow.emulation import hollow, objects, platform, pods, records
from tests.kubeflow.emulation.driver import Driven, Driver
from tests.kubeflow.emulation.launcher import Launcher
from tests.kubeflow.emulation.metadata import Store
from tests.kubeflow.emulation.objects import Objects, S3Account
from tests.kubeflow.emulation.resolve import DriverError
from tests.kubeflow.emulation.spec import ERRORS_ONLY, HOOKS, RETRIES, RETRY_DEFAULTS_ZERO, Spec, Task

SUCCEEDED, FAILED, ERROR, SKIPPED, OMITTED = "Succeeded", "Failed", "Error", "Skipped", "Omitted"
_COMPLETED = (SUCCEEDED, FAILED, ERROR)


@dataclass(frozen=True)
class Outcome:
    """How a task's node ended.

    Attributes:
      phase: As Argo names it.
      branch_failed: What a leaf counts as in its DAG: its own failure, or one before it that left it out.
    """

    phase: str
    branch_failed: bool


@dataclass(frozen=True)
class Setup:
    """What an engine runs on.

    Attributes:
      parallel: Pods at a time.
      faults: By task name or path.
      secrets: Keys and values by the secret's name.
      volumes: The folder of all claims.
      environment: Variables that every pod gets.
      backoff: Factor of all waiting times between attempts.
      grace_s: Between SIGTERM and SIGKILL.
      hollow: Runs `hollow.py` for every container.
    """

    account: S3Account
    parallel: int
    faults: dict[str, list[pods.Fault]]
    secrets: platform.Secrets
    volumes: Path
    environment: dict[str, str]
    backoff: float
    grace_s: float
    keep_pods: bool
    hollow: bool


@dataclass
class Engine:
    """Runs one spec once."""

    spec: Spec
    store: Store
    driver: Driver
    setup: Setup
    folder: Path
    run: records.RunRecord
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._places = threading.Semaphore(self.setup.parallel)
        self._lock = threading.Lock()
        self.client = objects.connect(self.setup.account)

    def execute(self, parameters: dict[str, Any]) -> None:
        """The root's driver, then the root.

        Raises:
          DriverError: The parameters do not fit the pipeline.
        """
        root = self.driver.root_dag(parameters)
        self.run.parameters = self.store.get(root).inputs
        phase = self._dag("root", root, "")
        self.run.state = "SUCCEEDED" if phase == SUCCEEDED else "FAILED"

    def _dag(self, component: str, execution: int, path: str) -> str:
        """argo's dag.go: starts what can be started until all is done; then its phase."""
        tasks = self.spec.dags[component]
        hooks, nodes = self._split(tasks)
        ended: dict[str, Outcome] = {}
        running: dict[Future[Outcome], str] = {}
        with ThreadPoolExecutor(max(1, len(nodes))) as pool:
            try:
                while len(ended) < len(nodes):
                    self._start(pool, nodes, hooks, ended, running, execution, path)
                    if running:
                        for future in wait(running, return_when=FIRST_COMPLETED).done:
                            ended[running.pop(future)] = future.result()
            except BaseException:
                self.stopped.set()
                raise
        inner = {dependency for task in nodes.values() for dependency in task.dependencies}
        failed = any(outcome.branch_failed for name, outcome in ended.items() if name not in inner)
        return FAILED if failed else SUCCEEDED

    def _start(
        self,
        pool: ThreadPoolExecutor,
        nodes: dict[str, Task],
        hooks: dict[str, Task],
        ended: dict[str, Outcome],
        running: dict[Future[Outcome], str],
        execution: int,
        path: str,
    ) -> None:
        """Starts or leaves out every task whose dependencies have ended."""
        for name, task in nodes.items():
            known = name in ended or name in running.values()
            if known or any(dependency not in ended for dependency in task.dependencies):
                continue
            if self._goes(task, ended):
                running[pool.submit(self._with_hook, task, hooks.get(name), execution, path)] = name
            else:
                ended[name] = self._omit(task, ended, path)

    def _split(self, tasks: dict[str, Task]) -> tuple[dict[str, Task], dict[str, Task]]:
        """The hooks by the task that they hang on (the last of two stays), and the other tasks.

        Before 2.5 there are no hooks: an exit task is a task whose dependencies may have failed.
        """
        if self.spec.release < HOOKS:
            return {}, tasks
        hooks = {
            dependency: task for task in tasks.values() if task.is_exit for dependency in task.dependencies
        }
        return hooks, {name: task for name, task in tasks.items() if not task.is_exit}

    def _goes(self, task: Task, ended: dict[str, Outcome]) -> bool:
        """compiler dag.go, depends: all succeeded. Before 2.5, depends_exit_handler: any came to an end."""
        phases = [ended[dependency].phase for dependency in task.dependencies]
        if task.is_exit and not task.is_dag and phases:
            return any(phase != OMITTED for phase in phases)
        return all(phase == SUCCEEDED for phase in phases)

    def _omit(self, task: Task, ended: dict[str, Outcome], path: str) -> Outcome:
        record = self._begin(task, path)
        record.reason = "omitted: depends condition not met"
        return Outcome(OMITTED, any(ended[dependency].branch_failed for dependency in task.dependencies))

    def _with_hook(self, task: Task, hook: Task | None, parent: int, path: str) -> Outcome:
        """A task and, once it is complete, its hook; what the hook comes to changes nothing."""
        outcome = self._task(task, parent, path)
        if hook is not None and outcome.phase in _COMPLETED and not self.stopped.is_set():
            self._task(hook, parent, path)
        return outcome

    def _begin(self, task: Task, path: str) -> records.TaskRecord:
        record = records.TaskRecord(f"{path}/{task.name}".lstrip("/"), "dag" if task.is_dag else "container")
        with self._lock:
            self.run.tasks.append(record)
        return record

    def _task(self, task: Task, parent: int, path: str) -> Outcome:
        record = self._begin(task, path)
        faults = self.setup.faults.get(record.path, []) + self.setup.faults.get(task.name, [])
        began = time.time()
        try:
            if any(fault.kind == "driver" for fault in faults):
                raise DriverError("fault: driver")
            driven = self.driver.dag(task, parent) if task.is_dag else self.driver.container(task, parent)
        except DriverError as error:
            # The driver's node failed; the task's own node is left out, so that no hook runs.
            record.state, record.reason = records.FAILED, f"driver: {error}"
            return Outcome(OMITTED, True)
        finally:
            record.driver_s = time.time() - began
        record.execution_id, record.fingerprint = driven.execution, driven.fingerprint
        if not driven.runs:
            record.reason = "condition is false"
            return Outcome(SKIPPED, False)
        if driven.cached:
            record.state = records.CACHED
            record.parameters = self.store.get(driven.execution).outputs
            artifacts = self.store.artifacts(driven.execution, "out")
            record.artifacts = {name: item["uri"] for name, item in artifacts.items()}
            return Outcome(SUCCEEDED, False)
        if task.is_dag:
            phase = self._dag(task.component, driven.execution, record.path)
        else:
            phase = self._attempts(task, parent, driven, record, faults)
        record.state = records.SUCCEEDED if phase == SUCCEEDED else records.FAILED
        return Outcome(phase, phase != SUCCEEDED)

    def _attempts(
        self, task: Task, parent: int, driven: Driven, record: records.TaskRecord, faults: list[pods.Fault]
    ) -> str:
        """container.go, retryStrategy; argo's operator.go, processNodeRetries."""
        policy = (task.retry or {}) if self.spec.release >= RETRIES else {}
        retried = FAILED
        if self.spec.release >= ERRORS_ONLY:
            # The bundled manifests' templateDefaults: limit 2, OnError, also for a policy of its own.
            retried, policy = ERROR, policy or {"maxRetryCount": 2, "backoffMaxDuration": "infs"}
        zero = "0s" if self.spec.release >= RETRY_DEFAULTS_ZERO else "inf"
        limit = int(policy.get("maxRetryCount", 0))
        longest = _seconds(policy.get("backoffMaxDuration", zero))
        pause = _seconds(policy.get("backoffDuration", "0s"))
        first = time.time()
        while True:
            attempt = records.AttemptRecord(len(record.attempts) + 1)
            record.attempts.append(attempt)
            with self._places:
                self._pod(task, parent, driven, record, attempt, faults)
            self.store.update_dag(parent)
            record.reason = attempt.reason
            if attempt.phase != retried or attempt.number > limit or self.stopped.is_set():
                return attempt.phase
            if time.time() > first + longest:
                record.reason += "; not tried again: Max duration limit exceeded"
                return attempt.phase
            self.stopped.wait(pause * self.setup.backoff)
            pause *= float(policy.get("backoffFactor", 0)) or 1.0

    def _pod(
        self,
        task: Task,
        parent: int,
        driven: Driven,
        record: records.TaskRecord,
        attempt: records.AttemptRecord,
        faults: list[pods.Fault],
    ) -> None:
        container = self.spec.container(task.component)
        fault = next((fault for fault in faults if fault.strikes(attempt.number)), None)
        folder = self.folder / record.path / f"attempt-{attempt.number}"
        if folder.exists():  # a hook of two tasks
            folder = folder.with_name(f"{folder.name}-of-{driven.execution}")
        folder.mkdir(parents=True)
        environment = dict(self.setup.environment)
        environment |= {item["name"]: item.get("value", "") for item in container.get("env", [])}
        command = [*container.get("command", []), *container.get("args", [])]
        if self.setup.hollow:
            outputs = self.spec.as_stored(task.component).get("outputDefinitions", {}).get("parameters", {})
            types = {name: definition.get("parameterType") for name, definition in outputs.items()}
            environment[hollow.TYPES_VARIABLE] = json.dumps(types)
            command = [sys.executable, "-I", str(hollow.__file__), "{{$}}"]
        denied = (fault.buckets or ("*",)) if fault and fault.kind == "deny" else ()
        try:
            inputs = self.store.get(parent).inputs
            settings = platform.settings(
                self.spec.kubernetes(task.component), inputs, self.setup.secrets, self.setup.volumes
            )
        except platform.PlatformError as error:
            attempt.phase, attempt.reason = FAILED, str(error)
            return
        pod = pods.Pod(
            folder,
            f"{self.run.run_id}-{task.name}-{attempt.number}",
            environment | settings.environment,
            settings.deadline_s,
            self.setup.grace_s,
            self.stopped,
        )
        settings.apply(pod.root)
        launcher = Launcher(
            self.store,
            Objects(self.client, frozenset(denied)),
            self.spec.as_stored(task.component),
            command,
            self.driver.root,
            self.setup.keep_pods,
        )
        launched = launcher.launch(driven, pod, attempt, fault)
        record.parameters, record.artifacts = launched.parameters, launched.artifacts
        if attempt.phase == SUCCEEDED and driven.fingerprint:
            pipeline = f"pipeline/{self.spec.name}"
            self.store.remember(driven.fingerprint, pipeline, self.driver.namespace, driven.execution)


def _seconds(text: str) -> float:
    """A protobuf duration as whole seconds, as the compiler hands it on."""
    value = float(text.rstrip("s"))
    return value if value == float("inf") else float(int(value))
