"""One pipeline in one process: a region's or the centre's.

The process shares nothing with its neighbours: it has its own root, its own SQLite metadata and its
own log, into which everything goes that TensorFlow, Beam and absl print. It tells its parent what
happens through a pipe.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import logging
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import IsthmusError
from pipeline.own_error import own_error

if TYPE_CHECKING:
    from components.release.options import StorageOptions
    from pipeline.config.model import Deployment

#: Imported once by the fork server, so that a child starts without import cost. Modules only: a fork
#: after any TensorFlow operation hangs.
#: skops comes first: it searches every module that is loaded for its types, 5 s once TensorFlow is.
PRELOAD = ("skops.io", "pipeline.worker", "pipeline.dag_runner", "pipeline.preload")


@dataclasses.dataclass(frozen=True)
class Job:
    """What a process is to run.

    Attributes:
      deployment: Path of the deployment file.
      name: Locale name, or `central`.
      stage: Up to which stage: `onboard`, `train`, `generate` or `merge`.
      log: File that takes all output.
      small: Whether the synthesizer's small preset is used.
    """

    deployment: str
    name: str
    stage: str
    log: str
    small: bool = False


def start_fork_server(log: Path, modules: Sequence[str] = PRELOAD) -> None:
    """Lets the fork server import the heavy modules while sources are looked at.

    What TensorFlow prints at its start goes to a log: the server inherits the error stream that this
    process has at that moment.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 2)
        forkserver.ensure_running()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def work(job: Job, pipe: Connection) -> None:
    """Runs a job; sends `(event, payload)` tuples.

    `built` says how many nodes there are, `running` and `finished` follow for each, `progress` in between;
    the last is `done` or `failed`.
    """
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    redirect_output(log)
    end_with_parent()
    faulthandler.enable()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    started = time.monotonic()
    try:
        _run(job, pipe)
        pipe.send(("done", {"seconds": round(time.monotonic() - started, 3)}))
    except BaseException as error:
        traceback.print_exc()
        cause = own_error(error)
        pipe.send(
            (
                "failed",
                {
                    "seconds": round(time.monotonic() - started, 3),
                    "error": _outward_error(job, cause) if cause else f"{type(error).__name__} (see the log)",
                    "exit_status": cause.exit_status if cause else 3,
                    "error_kind": type(cause or error).__name__,
                    "refusal": _refusal(job, cause),
                },
            )
        )
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.close()


def _run(job: Job, pipe: Connection) -> None:
    from components import progress
    from components.beam.leftovers import remove_leftovers
    from pipeline import central, governance, outward, regional
    from pipeline.border_view import prove
    from pipeline.config.load import load_deployment
    from pipeline.dag_runner import NodeResult, ObservedDagRunner

    deployment = load_deployment(job.deployment)

    root = outward.below(deployment.root, job.name)

    def on_node(event: str, node_id: str, result: NodeResult | None) -> None:
        found = {"id": node_id, **(dataclasses.asdict(result) if result else {})}
        pipe.send((event, outward.component(found, root)))

    def on_progress(stage: str, done: float, total: float, values: dict[str, float]) -> None:
        pipe.send(("progress", outward.progress(stage, done, total, values)))

    progress.listen(on_progress)
    if job.name == central.NAME:
        built = central.build(deployment)
    else:
        built = regional.build(deployment, job.name, stage=job.stage, small=job.small)
    # The runner has checked all pipelines before; this one may have been built of other facts since.
    prove(deployment, {job.name: built})
    if job.name != central.NAME:
        governance.open_budget(deployment, job.name)  # building a graph writes no ledger
    # Nobody else runs below this root: shards that a killed trainer left are nobody's.
    remove_leftovers(Path(root).glob("artifacts/*/*/*"))
    pipe.send(("built", {"nodes": len(built.components)}))
    os.environ["ISTHMUS_WORK_DIR"] = str(Path(deployment.root) / job.name / "work")
    ObservedDagRunner(on_node, _judges(deployment)).run(built)


def _judges(deployment: Deployment) -> dict[str, Callable[[dict[str, str]], str]]:
    """Who looks at the Pushers' cached answers: exchange and registry change while inputs stay the same."""
    from components.executor_base import read_json
    from components.pusher import registry
    from components.release import exchange

    def look(outputs: dict[str, str], why: Callable[..., str], options: StorageOptions) -> str:
        file = Path(outputs["pushed"]) / "push.json"
        return why(read_json(file), options) if file.exists() else f"{file} is gone"

    return {
        "Pusher": lambda outputs: look(outputs, exchange.why_outdated, deployment.exchange.storage_options),
        "ModelPusher": lambda outputs: look(
            outputs, registry.why_outdated, deployment.central.registry_storage_options
        ),
    }


def _outward_error(job: Job, error: IsthmusError) -> str:
    """The error's text as it may leave the pipeline's root: a restricted locale's is judged word by word."""
    from pipeline import outward
    from pipeline.config.load import load_deployment

    try:
        deployment = load_deployment(job.deployment)
    except IsthmusError:  # a fault of the file itself, which holds no row
        return str(error)
    restricted = {locale.name for locale in deployment.locales if locale.sharing == "restricted"}
    if job.name not in restricted:
        return str(error)
    return outward.error_text(error, outward.public_words(deployment), job.log)


def _refusal(job: Job, error: IsthmusError | None) -> dict[str, Any]:
    """What alerts may tell of a locale that came to no monitor; of the centre nothing."""
    from pipeline import central, refusals
    from pipeline.config.load import load_deployment

    if job.name == central.NAME:
        return {}
    try:
        return refusals.refusal_of(load_deployment(job.deployment), job.name, error)
    except IsthmusError:  # a fault of the file itself: the runner knows the deployment
        return {}


def examine_border(deployment_file: str, names: list[str], stage: str, small: bool, pipe: Connection) -> None:
    """Builds the pipelines of a run and proves that none crosses a border but through its Pusher.

    Sends `(error or "", proof)`. A pipeline that cannot be built is left to its own worker, which says why in
    the locale's own log and checks it again.

    Raises:
      SystemExit: the proof itself failed; nothing was sent. The output of this process lies outside every
        locale's root, so that it gets the type of an exception alone.
    """
    end_with_parent()
    from pipeline import central, regional
    from pipeline.border_view import prove
    from pipeline.config.load import load_deployment

    try:
        deployment = load_deployment(deployment_file)
        built = {}
        for name in names:
            try:
                if name == central.NAME:
                    built[name] = central.build(deployment)
                else:
                    built[name] = regional.build(deployment, name, stage=stage, small=small)
            except Exception:  # its text may hold what was read in the locale
                continue
        pipe.send(("", prove(deployment, built).to_json()))
    except IsthmusError as error:
        pipe.send((str(error), {}))
    except Exception as error:
        print(f"border: the check failed ({type(error).__name__})", file=sys.stderr)
        raise SystemExit(3) from None
    finally:
        pipe.close()


def end_with_parent() -> None:
    """Makes this process end when the one that started it does."""
    # The lock on the root goes with the parent. A worker that outlived it would write beside the next run.
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait_for_its_end() -> None:
        parent.join()
        os._exit(3)

    threading.Thread(target=wait_for_its_end, name="isthmus-parent", daemon=True).start()


def redirect_output(log: Path, mode: int = 0o644) -> None:
    """Sends all that this process prints to a file; `mode`: its rights where it is new."""
    # At the level of file descriptors, because TensorFlow and cmdstan write from C++ and from children.
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
