"""One step in one pod: from the launcher's ExecutorInput to its ExecutorOutput."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.egress.words import words_of
from components.errors import DataError
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from pipeline.compiler.placeholders import fill, fill_own
from pipeline.config.placement import RegionStore
from pipeline.entrypoint import notices
from pipeline.entrypoint.launcher import Invocation
from pipeline.entrypoint.state import PROFILE, RELEASE, STATISTICS, State, fetched

if TYPE_CHECKING:
    from pipeline.entrypoint.arguments import Arguments
    from pipeline.entrypoint.running import Listener

DIGEST = "digest"
_WHOLE = ("seed", "span", "ideal_span")
_BASELINES = {"statistics_baseline": STATISTICS, "release_baseline": RELEASE}


def run(arguments: Arguments, invocation: Invocation, listener: Listener) -> None:
    """Runs a step; what it returns to the launcher is written last.

    Raises:
      IsthmusError: bad input, or a fault of ours.
      Exception: whatever an executor raises.
    """
    invocation.prepare()
    told = _told(invocation)
    store = RegionStore.model_validate_json(arguments.store) if arguments.store else None
    # A state in the locale's own bucket is reached as the bucket is.
    options = store.storage_options if store and "://" in arguments.state else DEFAULT_OPTIONS
    state = State(arguments.state, invocation.text("zone"), options)
    parameters = _parameters(invocation)
    if arguments.role == "report":
        if arguments.step == "verdict":
            _verdict(told, parameters, invocation)
        else:
            _report(told, parameters, invocation, (arguments.state, options))
    elif "question" in told:
        from pipeline.entrypoint.resolving import answer

        invocation.finish(answer(fill(told["question"], parameters), state), {})
    else:
        for name, kind in _BASELINES.items():
            if parameters.get(name):
                parameters[name] = state.fetch(kind, parameters[name], parameters[f"{name}_digest"])
        if "baselines" in parameters:
            parameters["baselines"] = fetched(parameters["baselines"], state)
        if arguments.state and "://" not in arguments.state:
            zone = Path(arguments.state) / invocation.text("zone")
            os.environ["ISTHMUS_WORK_DIR"] = str(zone / "work")  # what a refusal leaves for the locale
            # A training whose pod was killed goes on where it was; `isthmus retain` looks here as well.
            os.environ["ISTHMUS_CHECKPOINTS"] = str(zone / "artifacts" / "SynthesizerTrainer" / "checkpoints")
        _Nodes(arguments, invocation, told, parameters, state, store, options).run(listener)


class _Nodes:
    """A step that runs TFX nodes."""

    def __init__(
        self,
        arguments: Arguments,
        invocation: Invocation,
        told: dict[str, Any],
        parameters: dict[str, Any],
        state: State,
        store: RegionStore | None,
        options: StorageOptions,
    ) -> None:
        self._options = options
        self._arguments, self._invocation, self._told = arguments, invocation, told
        self._parameters, self._state = parameters, state
        self._zone = invocation.text("zone")
        if store is not None:
            from pipeline.entrypoint.own_store import OwnStore

            self._store: OwnStore | None = OwnStore(store)
        else:
            self._store = None

    def run(self, listener: Listener) -> None:
        from pipeline.entrypoint.artifacts import described
        from pipeline.entrypoint.running import content_digest, run_nodes

        invocation = self._invocation
        ports = {port for node in self._told["nodes"] for port, _ in node["outputs"].values()}
        inputs = self._inputs()
        folders = self._folders(ports)
        made = run_nodes(self._told, self._parameters, inputs, folders, listener)
        metadata = {name: described(kind, artifact) for name, (kind, artifact) in made.items()}
        known = {name: folder for name, (folder, _) in inputs.items()} | folders
        metadata |= self._show(known)
        self._remember(known)
        if self._store is not None:
            for name, folder in folders.items():
                reference = invocation.outputs[name].path
                self._store.keep(self._arguments.task, name, folder, reference, metadata.pop(name))
        invocation.finish({DIGEST: content_digest(folders)}, metadata)

    def _inputs(self) -> dict[str, tuple[Path, dict[str, Any]]]:
        found = {}
        for name, slot in self._invocation.inputs.items():
            # Of an artifact without files, an object store has nothing that could be downloaded.
            slot.path.mkdir(parents=True, exist_ok=True)
            found[name] = (
                self._store.fetch(slot.path, name) if self._store else (slot.path, dict(slot.metadata))
            )
        return found

    def _folders(self, ports: set[str]) -> dict[str, Path]:
        """Where the nodes write: the launcher's folders, or scratch where another bucket gets it."""
        if self._store is None:
            return {name: self._invocation.outputs[name].path for name in ports}
        scratch = Path(tempfile.mkdtemp(prefix="isthmus-outputs-"))
        folders = {name: scratch / name for name in ports}
        for folder in folders.values():
            folder.mkdir()
        return folders

    def _show(self, artifacts: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
        """Pages and metrics, and the notice to the report; returns the metrics as metadata."""
        from components.executor_base import read_json, write_atomically
        from pipeline.entrypoint import views

        outputs = {name: slot.path for name, slot in self._invocation.outputs.items()}
        central = self._arguments.role == "centre"
        metrics: dict[str, float] = {}
        evaluated = artifacts.get("prophetevaluator-evaluation")
        if central and evaluated is not None and (evaluated / "evaluation.json").exists():
            metrics = views.central_metrics(read_json(evaluated / "evaluation.json"))
        if "metrics" in outputs:
            write_atomically(outputs["metrics"], json.dumps(metrics, sort_keys=True))
        pushed = artifacts.get("modelpusher-pushed" if central else "pusher-pushed")
        if pushed is not None and "summary" in outputs:
            push = read_json(pushed / "push.json")
            run_id = self._invocation.text("run")
            if central:
                sentence = views.central_report(self._told, artifacts, run_id, outputs["report"])
                write_atomically(outputs["summary"], views.central_summary(sentence, metrics))
                blessing = artifacts.get("prophetevaluator-blessing")
                notice = views.centre_notice(push, views.verdict_in(blessing) if blessing else "")
            else:
                names = words_of(_texts(self._told))
                restricted = self._arguments.sharing == "restricted"
                text = views.region_summary(push, self._zone, names, restricted)
                write_atomically(outputs["summary"], text)
                notice = views.region_notice({**push, "span": self._parameters["span"]}, self._zone)
            place = self._told["notices"]
            exchange = str(self._parameters["exchange"])
            self._leave(artifacts, exchange, run_id, crossed=central or bool(push.get("pushed")))
            notices.write(exchange, StorageOptions.model_validate(place), run_id, notice)
        return {"metrics": dict(metrics)} if "metrics" in outputs else {}

    def _leave(self, artifacts: Mapping[str, Path], exchange: str, run_id: str, *, crossed: bool) -> None:
        """Leaves what monitoring found for the run's report, which can be given no artifact.

        In the exchange only what crossed with a release: a gate or an approver may have refused it.
        """
        how = self._told.get("findings")
        if not how or (how == "exchange" and not crossed):
            return
        from pipeline.entrypoint import findings

        properties = fill(self._told["properties"], self._parameters)
        raw = findings.outward_bytes(artifacts, self._zone, properties, whole=how == "state")
        if raw is not None and how == "exchange":
            options = StorageOptions.model_validate(self._told["notices"])
            findings.leave_in_exchange(exchange, options, run_id, self._zone, raw)
        elif raw is not None:
            store = findings.open_own(self._arguments.state, self._zone, self._options)
            findings.leave_in_state(store, run_id, raw)

    def _remember(self, artifacts: Mapping[str, Path]) -> None:
        """Keeps what the next span is compared with, once this one was found fit."""
        ran = {node["id"] for node in self._told["nodes"]}
        span = int(self._parameters.get("span") or 0)
        if "ExampleValidator" in ran:
            self._state.remember(STATISTICS, span, artifacts["statisticsgen-statistics"])
            self._state.remember(PROFILE, span, artifacts["driftmonitor-profile"])
        if "Pusher" in ran and self._arguments.sharing == "restricted":
            from components.executor_base import read_json

            if read_json(artifacts["pusher-pushed"] / "push.json").get("pushed"):
                self._state.remember(RELEASE, span, artifacts["syntheticgen-synthetic"])


def _report(
    told: Mapping[str, Any],
    parameters: Mapping[str, Any],
    invocation: Invocation,
    state: tuple[str, StorageOptions],
) -> None:
    from components.executor_base import write_atomically
    from pipeline.entrypoint import outcome

    filled = fill(told, parameters)
    run_id = invocation.text("run")
    zones, doubt = outcome.gather(filled, run_id), outcome.doubt(run_id)
    write_atomically(invocation.outputs["summary"].path, outcome.markdown(filled["name"], zones, doubt))
    write_atomically(invocation.outputs["report"].path, outcome.page(filled["name"], zones, doubt))
    print(outcome.sentence(zones), flush=True)
    options = StorageOptions.model_validate(filled["storage"])
    # A region's run of its own has no verdict, and the region may write no notice but its own.
    if any(zone["sharing"] == "central" for zone in zones):
        notices.write(filled["exchange"], options, run_id, outcome.notice(zones))
    if "telling" in filled:
        from pipeline.entrypoint.telling import Told, tell

        known = Told(zones, run_id, (filled["exchange"], options), *state)
        tell(filled["telling"], known, lambda words: print(words, flush=True))
    invocation.finish({}, {})


def _verdict(told: Mapping[str, Any], parameters: Mapping[str, Any], invocation: Invocation) -> None:
    """Fails where the report found that the centre had not come to its end.

    The centre is a hook, and Argo does not count a hook's failure. Where there is no report yet, another
    runner started this task before it, and counts for itself.

    Raises:
      DataError: the centre failed.
    """
    from pipeline.entrypoint import outcome

    filled = fill(told, parameters)
    options = StorageOptions.model_validate(filled["storage"])
    found = notices.read(filled["exchange"], options, invocation.text("run")).get(outcome.REPORT)
    if found is not None and found["outcome"] != outcome.COMPLETE:
        raise DataError(f"central: {found['outcome']}; its tasks in this run say why")
    invocation.finish({}, {})


def _told(invocation: Invocation) -> dict[str, Any]:
    template, own = (json.loads(invocation.text(name)) for name in ("template", "own"))
    return dict(fill_own(template, own))


def _parameters(invocation: Invocation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in invocation.parameters:
        found[name] = invocation.whole(name) if name in _WHOLE else invocation.text(name)
    return found


def _texts(value: Any) -> list[str]:
    """The words of what a step is told: both sides of the border have the deployment file."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, item in value.items() for text in (str(key), *_texts(item))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []
