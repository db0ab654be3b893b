"""Runs a deployment on one machine: locales side by side in processes, then the centre.

A locale that fails is reported with its log and the others finish; the centre decides by quorum.
Finished work is reused through TFX's cache, so a killed run that is started again goes on where it
stopped. Which exit status a run ends with is `pipeline.run_state.finish`'s rule: our fault before bad
input before a negative verdict, and a quorum missed for want of a refused release counts as that verdict.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from components.errors import ConfigError, InternalError, IsthmusError, nearest_name
from components.executor_base import read_json, write_json
from pipeline import outward, refusals, standing
from pipeline.border_model import BorderError
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import egress_config
from pipeline.environment import environment
from pipeline.root_lock import hold_root
from pipeline.run_state import (
    CENTRAL,
    NOT_STARTED,
    RUNNING,
    SKIPPED,
    PipelineState,
    RunState,
    fail,
    finish,
    now,
    section_of,
    take,
    versions,
)
from pipeline.worker import Job, examine_border, start_fork_server, work

#: Called with (pipeline name, event, payload) as things happen.
Listener = Callable[[str, str, dict[str, Any]], None]


def run(
    deployment: Deployment,
    config: Path,
    *,
    locales: Iterable[str] = (),
    stage: str = "merge",
    small: bool = False,
    centre: bool = False,
    listener: Listener | None = None,
    begun: Callable[[Path], None] = lambda folder: None,
) -> tuple[RunState, Path]:
    """Runs regions and centre up to a stage.

    Args:
      deployment: The checked deployment.
      config: The file that it came from; the processes read it themselves.
      locales: Names to run; none means all. The centre runs only when all were asked for.
      stage: `onboard`, `train`, `generate` or `merge`; all that comes before is run (or reused) too.
      small: The synthesizer's small preset.
      centre: Whether the centre runs after a merge stage though not all locales were asked for.
      listener: Hears of everything that happens.
      begun: Called with the run's folder once there is one: a run that raises has one too.

    Returns:
      The run's state and its folder, `<root>/runs/<run_id>`.

    Raises:
      ConfigError: an unknown locale; the root cannot be written.
      BusyError: another run holds the root.
    """
    from pipeline import preflight

    chosen = _choose(deployment, tuple(locales))
    root = Path(deployment.root)
    with hold_root(root):
        preflight.prepare_keys(deployment)
        run_id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        folder = root / "runs" / run_id
        state = RunState(
            run_id=run_id,
            name=deployment.name,
            config=str(config),
            config_digest=deployment.file_digest,
            seed=deployment.seed,
            started_at=now(),
            stage=stage,
            locales={
                locale.name: PipelineState(
                    status=NOT_STARTED if locale.name in chosen else SKIPPED,
                    sharing=locale.sharing,
                    log=_log(root, locale.name, run_id),
                    egress=_policy(deployment, locale.name),
                )
                for locale in deployment.locales
            },
            central=PipelineState(
                status=NOT_STARTED if has_centre(deployment, chosen, stage) else SKIPPED,
                sharing="central",
                log=_log(root, CENTRAL, run_id),
            ),
            versions=versions(),
            words=tuple(sorted(outward.public_words(deployment))),
        )
        state.save(folder)
        begun(folder)
        # Pointed to from the start: `status` then shows a run that goes on, or was killed, as what it is.
        write_json(root / "runs" / "latest.json", {"run_id": run_id})
        os.environ.update(environment())
        start_fork_server(folder / "startup.log")
        interrupted = False
        try:
            _run_pipelines(deployment, config, chosen, state, folder, small, centre, listener)
            finish(state, chosen)
        except KeyboardInterrupt:
            interrupted = True
            raise
        except IsthmusError as error:
            state.exit_status, state.exit_reason = error.exit_status, str(error)
            if not any(section.error for section in state.locales.values()):
                fail(state.central, str(error), type(error).__name__)
            raise
        finally:
            refusals.fill(deployment, state)
            if not interrupted:  # else it has no end, like one that was killed: nobody is at fault
                state.finished_at = now()
                state.exit_status = 3 if state.exit_status is None else state.exit_status
            state.save(folder)
        return state, folder


def _run_pipelines(
    deployment: Deployment,
    config: Path,
    chosen: list[str],
    state: RunState,
    folder: Path,
    small: bool,
    centre: bool,
    listener: Listener | None,
) -> None:
    tell = listener or (lambda name, event, payload: None)
    healthy = _preflight(deployment, chosen, state.stage, state, tell)
    last = [CENTRAL] if centre or has_centre(deployment, chosen, state.stage) else []
    state.border = _examine_border(config, [*healthy, *last], state.stage, small)
    state.save(folder)
    jobs = [Job(str(config), name, state.stage, state.locales[name].log, small) for name in healthy]
    _run_all(jobs, state, folder, _parallelism(deployment, len(jobs)), tell)
    for name in chosen:
        state.locales[name].governance = standing.record_of(deployment, name, state.locales[name])
    state.save(folder)
    if last:
        _run_all([Job(str(config), CENTRAL, state.stage, state.central.log)], state, folder, 1, tell)


def _examine_border(config: Path, names: list[str], stage: str, small: bool) -> dict[str, Any]:
    """Proves the pipelines' border in a process that has TFX, before any of them runs.

    Raises:
      BorderError: one of them would carry something of a restricted locale out of it; nothing has run.
      InternalError: there is no proof, so nothing may run.
    """
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=examine_border,
        args=(str(config), names, stage, small, theirs),
        name="isthmus-border",
        daemon=True,
    )
    process.start()
    theirs.close()
    try:
        error, proof = ours.recv()
    except (EOFError, OSError):
        process.join()
        raise InternalError(
            f"border: the check ended with exit code {process.exitcode} and gave no proof; nothing ran"
        ) from None
    process.join()
    if error:
        raise BorderError(error)
    return dict(proof)


def has_centre(deployment: Deployment, chosen: Iterable[str], stage: str) -> bool:
    """Whether a run of these locales up to this stage ends with the merge."""
    return stage == "merge" and set(chosen) == {locale.name for locale in deployment.locales}


def latest_run(root: Path) -> Path | None:
    """Folder of the latest run under a root, finished or not; None where there was none."""
    pointer = root / "runs" / "latest.json"
    return root / "runs" / read_json(pointer)["run_id"] if pointer.exists() else None


def _choose(deployment: Deployment, asked: tuple[str, ...]) -> list[str]:
    known = [locale.name for locale in deployment.locales]
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"--locale: unknown locale '{name}'{nearest_name(name, known)}; allowed: {', '.join(known)}"
            )
    return [name for name in known if not asked or name in asked]


def _preflight(
    deployment: Deployment, chosen: list[str], stage: str, state: RunState, tell: Listener
) -> list[str]:
    """Books what is wrong at first sight; returns the locales that are worth starting."""
    from pipeline import preflight

    if stage == "merge":
        preflight.examine_centre(deployment)
    healthy: list[str] = []
    errors = []
    for name in chosen:
        error = preflight.examine_locale(deployment, name)
        if error is None:
            healthy.append(name)
            continue
        section = state.locales[name]
        section.exit_status = error.exit_status
        section.refusal = refusals.refusal_of(deployment, name, error)
        if section.sharing == "restricted":
            error = _outward(error, outward.public_words(deployment), section.log)
        fail(section, str(error), type(error).__name__)
        errors.append(error)
        tell(name, "failed", {"error": section.error})
    if errors and not healthy:
        raise errors[0]
    return healthy


def _outward(error: IsthmusError, names: frozenset[str], log: str) -> IsthmusError:
    """The same error with the text that may leave; the whole one goes to the locale's log."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("a") as file:
        file.write(f"{now()} {error}\n")
    return type(error)(outward.error_text(error, names, log))


def _parallelism(deployment: Deployment, jobs: int) -> int:
    cores = len(os.sched_getaffinity(0))
    return max(1, min(deployment.run.parallel_locales or min(cores, 4), jobs))


def _run_all(jobs: list[Job], state: RunState, folder: Path, parallel: int, tell: Listener) -> None:
    context = multiprocessing.get_context("forkserver")
    waiting, active = list(jobs), {}  # type: list[Job], dict[Connection, tuple[Job, Any, float]]
    while waiting or active:
        while waiting and len(active) < parallel:
            job = waiting.pop(0)
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=work, args=(job, theirs), name=f"isthmus-{job.name}", daemon=True
            )
            process.start()
            theirs.close()
            active[ours] = (job, process, time.monotonic())
            section_of(state, job.name).status = RUNNING
            tell(job.name, "started", {})
        for connection in wait(list(active)):
            assert isinstance(connection, Connection)
            job, process, started = active[connection]
            try:
                event, payload = connection.recv()
            except (EOFError, OSError):  # OSError: it was killed in the middle of a message
                process.join()
                section = section_of(state, job.name)
                if section.status == RUNNING:
                    section.seconds = round(time.monotonic() - started, 3)
                    section.exit_status = 3
                    fail(section, f"the process ended with exit code {process.exitcode}")
                    tell(job.name, "failed", {"error": section.error})
                del active[connection]
                state.save(folder)
                continue
            take(section_of(state, job.name), event, payload)
            tell(job.name, event, payload)
            if event != "progress":
                state.save(folder)


def _policy(deployment: Deployment, name: str) -> dict[str, Any]:
    """What the run's report may show of a locale, for whoever writes it later."""
    if deployment.locale(name).sharing != "restricted":
        return {}
    policy = egress_config(deployment, name).model_dump(mode="json")
    # Whoever holds the rows themselves may see curves of them.
    return policy | ({"real_curves": "binned"} if deployment.central.ideal else {})


def _log(root: Path, name: str, run_id: str) -> str:
    return str(root / name / "logs" / f"{run_id}.log")
