"""One trial in one process: what TensorFlow keeps of a training (some 150 MB) goes with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.errors import ConfigError, DataError, InternalError
from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthetic_gen.config import SyntheticGenConfig
from components.tuner.core.scoring import Outcome
from pipeline import worker
from pipeline.tuning_records import PRIVATE

#: As the fork server of a run, with the modules of a trial; modules only.
PRELOAD = ("pipeline.tune_worker", "pipeline.preload", "components.tuner.trial")


@dataclass(frozen=True)
class Job:
    """A trial, as `components.tuner.trial.run_trial` takes it.

    Attributes:
      fit: Rows that the synthesizer is fitted to.
      early: Rows that end its training early; none where the deployment has no such split.
      judged: Held-back rows.
      trainer: The trial's configuration.
      generation: The locale's.
      evaluator: The locale's gate.
      rare: What becomes of kinds of anomaly with few windows.
      seed: Of training and sampling.
      place: For messages.
      log: File that takes all output.
    """

    fit: pa.Table
    early: pa.Table
    judged: pa.Table
    trainer: SynthesizerTrainerConfig
    generation: SyntheticGenConfig
    evaluator: ReleaseEvaluatorConfig
    rare: Any
    seed: int
    place: str
    log: str


def start_fork_server(log: Path) -> None:
    """Lets the fork server import the heavy modules; what they print goes to the log."""
    log.touch(mode=PRIVATE)
    worker.start_fork_server(log, PRELOAD)


def run_apart(job: Job, steps: Callable[[int, int, dict[str, float]], None] | None) -> Outcome:
    """Runs a trial in a process of its own, which ends with this one.

    Args:
      job: The trial.
      steps: Hears of the training's updates.

    Raises:
      ConfigError, DataError: as the trial.
      InternalError: it broke otherwise, or the system ended its process.
    """
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(job, theirs), name="isthmus-trial", daemon=True)
    process.start()
    theirs.close()
    found: Outcome | None = None
    error: Exception | None = None
    try:
        with contextlib.suppress(EOFError, OSError):
            while True:
                event, payload = ours.recv()
                if event == "steps" and steps is not None:
                    steps(*payload)
                elif event == "done":
                    found = Outcome.from_json(payload)
                elif event == "failed":
                    kind, text = payload
                    known = {"ConfigError": ConfigError, "DataError": DataError}
                    error = known.get(kind, InternalError)(text)
        process.join()
    finally:
        # Ctrl-C: what is half done is not kept.
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()
    if error is not None:
        raise error
    if found is None:
        raise InternalError(
            f"{job.place}: the training's process ended with exit code {process.exitcode} "
            "(-9: the system ended it, for want of memory as a rule)"
        )
    return found


def work(job: Job, pipe: Connection) -> None:
    """Runs a job; sends `steps`, then `done` with the outcome or `failed` with the error's kind and text."""
    worker.redirect_output(Path(job.log), PRIVATE)
    worker.end_with_parent()
    from components.tuner.trial import TrialRows, run_trial

    try:
        rows = TrialRows(job.fit, job.early if job.early.num_rows else None, job.judged)
        found = run_trial(
            rows,
            job.trainer,
            job.generation,
            job.evaluator,
            job.rare,
            job.seed,
            job.place,
            lambda *words: pipe.send(("steps", words)),
        )
        pipe.send(("done", found.to_json()))
    except Exception as error:
        traceback.print_exc()
        for kind in (ConfigError, DataError):
            if isinstance(error, kind):
                pipe.send(("failed", (kind.__name__, str(error))))
                break
        else:
            pipe.send(("failed", ("InternalError", f"{type(error).__name__} (see {job.log})")))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.close()
