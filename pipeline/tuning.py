"""`isthmus tune`: reads a locale's rows in its region, runs the search, and says what came of it."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from components.dataset import TIMESTAMP
from components.errors import ConfigError, DataError, InsufficientDataError, InternalError, nearest_name
from components.profiler.core import profile
from components.profiler.core.cost import Size, estimate
from components.profiler.reading import SpanRows, read_span
from components.strict_yaml import StrictLoader
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.tuner.config import DEFAULT_SPACE, KeySpace, check_space, configured, read_space
from components.tuner.core.dividing import judged_rows
from components.tuner.core.scoring import Outcome
from components.tuner.core.study import Budget, Plan, Proposes, Study, Tell, Values, conduct
from components.version import __version__
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import RegionalConfigs, regional_configs
from pipeline.tuning_records import LOG, open_records

#: Rows that a trial is judged on, at least.
MIN_JUDGED = 200
#: Steps of a training: done, in all, and losses.
Steps = Callable[[int, int, dict[str, float]], None]
#: Trains and judges: rows fitted, rows that end it early, rows judged, configuration, seed, listener.
Train = Callable[[pa.Table, pa.Table, pa.Table, SynthesizerTrainerConfig, int, "Steps | None"], Outcome]


@dataclasses.dataclass(frozen=True)
class Options:
    """What the operator asked for.

    Attributes:
      span: Its number; None takes the one that the deployment says.
      minutes: On the clock.
      trials: Configurations at most.
      repeats: Of the best challenger, beside the configuration as it stands.
      seed: None takes the deployment's.
      space: File of the search space; None takes the default one.
      folder: For records and results; None is the locale's own.
      fresh: Whether an earlier search there is removed.
    """

    span: int | None = None
    minutes: float = 30.0
    trials: int | None = None
    repeats: int = 3
    seed: int | None = None
    space: Path | None = None
    folder: Path | None = None
    fresh: bool = False


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A search and what it was made of.

    Attributes:
      study: What came of it.
      base: The locale's configuration.
      space: What was searched.
      rows: Of the span.
      counts: Rows fitted, judged and ending the training early, of the search's deal.
      seed: Of the search.
      folder: Of records and results.
      spent_s: Seconds that all its trainings took, those of earlier attempts included.
    """

    study: Study
    base: SynthesizerTrainerConfig
    space: dict[str, KeySpace]
    rows: SpanRows
    counts: dict[str, int]
    seed: int
    folder: Path
    spent_s: float


def check_locale(deployment: Deployment, name: str) -> tuple[RegionalConfigs, SynthesizerTrainerConfig]:
    """The configurations of a locale whose synthesizer may be tuned.

    Raises:
      ConfigError: there is no such locale, it is open, or its synthesizer is differentially private.
    """
    known = [locale.name for locale in deployment.locales]
    if name not in known:
        raise ConfigError(
            f"--locale: unknown locale '{name}'{nearest_name(name, known)}; allowed: {', '.join(known)}"
        )
    configs = regional_configs(deployment, name)
    base = configs.synthesizer
    if base is None:
        raise ConfigError(f"--locale: {name} is open and has no synthesizer; allowed: a restricted locale")
    if base.is_private:
        raise ConfigError(
            f"locale {name}: synthesizer.method: found '{base.method}'; every trial would spend epsilon, "
            "and so would choosing one by its score on the rows, which nothing here accounts for; allowed: "
            "method 'gan', or values that are chosen without the rows (docs/tune.md)"
        )
    return configs, base


def search_space(path: Path | None, base: SynthesizerTrainerConfig) -> dict[str, KeySpace]:
    """The search space of a file, or the default one.

    Raises:
      ConfigError: it cannot be read, or a key or value is not allowed.
    """
    if path is None:
        check_space(DEFAULT_SPACE, base, "default space")
        return dict(DEFAULT_SPACE)
    place = f"--space {path}"
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{place}: is not text in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{place}: is not YAML: {' '.join(str(error).split())}") from None
    if isinstance(given, dict) and set(given) == {"space"}:
        given = given["space"]
    return read_space(given, base, place)


def tune_locale(
    deployment: Deployment,
    name: str,
    options: Options,
    tell: Tell,
    steps: Steps | None = None,
    *,
    train: Train | None = None,
    propose: Callable[[dict[str, KeySpace], Values, int, Path], Proposes] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Searches a configuration of a locale's synthesizer.

    Args:
      deployment: The deployment.
      name: The locale.
      options: What the operator asked for.
      tell: Hears of each training.
      steps: Hears of a training's updates.
      train: Trains and judges; None is the synthesizer itself.
      propose: Makes what proposes values; None is keras-tuner's Bayesian optimisation.
      clock: Seconds.

    Raises:
      ConfigError: an option, or the locale, does not allow it.
      DataError: the rows cannot be read, or are too few.
      BusyError: another search is at work in the folder.
    """
    began = clock()
    configs, base = check_locale(deployment, name)
    space = search_space(options.space, base)
    seed = deployment.seed if options.seed is None else options.seed
    wanted = deployment.locale(name).span
    chosen: int | Literal["latest"] = wanted if options.span is None else options.span
    root = Path(deployment.root) / name
    rows = read_span(configs.example_gen, root, locale=name, span=chosen, seed=deployment.seed)
    if rows.remarks:
        raise DataError(rows.remarks[0])
    deals = _Deals(rows, deployment, seed, f"locale={name} span={rows.span}")
    counts = deals.counts()
    now: Values = {key: getattr(base, key) for key in space}
    folder = options.folder if options.folder is not None else root / "tuning"
    study = {
        "version": __version__,
        "locale": name,
        "span": rows.span,
        "seed": seed,
        "configuration": base.digest(),
        "generation": configs.generation.digest() if configs.generation else "",
        "gate": configs.evaluator.digest() if configs.evaluator else "",
        "space": {key: values.model_dump(mode="json") for key, values in space.items()},
        "rows": deals.digest(),
    }
    with open_records(folder, study, options.fresh) as records, tempfile.TemporaryDirectory() as own:
        train = train or _synthesizer(configs, deployment, rows, name, folder / LOG)
        proposer = (propose or _oracle)(space, now, seed, Path(own))
        sizes = _Sizes(base, rows, deployment, counts["fit"])
        # What was read and imported is on the clock too.
        spent_s = records.spent_s() + clock() - began
        budget = Budget(60 * options.minutes, spent_s, clock, sizes.seconds)

        def run(values: Values, repeat: int, limit_s: float) -> Outcome:
            config = configured(base, values)
            limited = config.model_copy(update={"max_minutes": min(config.max_minutes, limit_s / 60)})
            began_run = clock()
            try:
                found = train(*deals.tables(repeat), limited, seed + repeat, steps)
            except (ConfigError, DataError) as error:
                return Outcome("failed", reason=str(error), wall_s=clock() - began_run)
            except Exception as error:
                if not values:
                    raise  # the configuration as it stands: a fault that a run would have as well
                reason = str(error) if isinstance(error, InternalError) else type(error).__name__
                return Outcome("failed", reason=reason, wall_s=clock() - began_run)
            cut = found.stopped == "max_minutes" and limited.max_minutes < config.max_minutes
            return dataclasses.replace(found, status="cut") if cut else found

        plan = Plan(60 * options.minutes, options.trials, options.repeats)
        study_found = conduct(proposer, run, records, plan, budget, tell)
        return Tuned(study_found, base, space, rows, counts, seed, folder, records.spent_s())


class _Deals:
    """A span's rows, dealt anew for each repeat."""

    def __init__(self, rows: SpanRows, deployment: Deployment, seed: int, place: str) -> None:
        dataset = deployment.dataset
        self._rows, self._deployment, self._seed, self._place = rows, deployment, seed, place
        self._time_us = rows.table.column(TIMESTAMP).to_numpy().astype(np.int64)
        self._label = None
        if dataset.label:
            self._label = rows.table.column(dataset.label).fill_null(0).to_numpy().astype(np.int8)

    def _held(self, repeat: int) -> np.ndarray:
        deployment = self._deployment
        interval_s = deployment.dataset.interval_s
        seed = self._seed + repeat
        return judged_rows(self._time_us, self._rows.series, self._label, deployment.splits, interval_s, seed)

    def tables(self, repeat: int) -> tuple[pa.Table, pa.Table, pa.Table]:
        """Rows fitted, rows that end the training early, rows judged."""
        held, train = self._held(repeat), self._rows.train
        table = self._rows.table
        return tuple(  # type: ignore[return-value]
            table.filter(pa.array(mask)) for mask in (train & ~held, self._rows.early, train & held)
        )

    def counts(self) -> dict[str, int]:
        """Rows of each, of the search's deal.

        Raises:
          InsufficientDataError: too few to judge on.
        """
        held, train = self._held(0), self._rows.train
        found = {
            "fit": int((train & ~held).sum()),
            "early": int(self._rows.early.sum()),
            "judged": int((train & held).sum()),
        }
        if found["judged"] < MIN_JUDGED:
            raise InsufficientDataError(
                f"{self._place}: {found['judged']} of {int(train.sum())} training rows would be held back to "
                f"judge on, isthmus tune needs {MIN_JUDGED} at least. Use a longer span."
            )
        return found

    def digest(self) -> str:
        """SHA-256 of the rows and of how they are divided."""
        found = hashlib.sha256(self._rows.train.tobytes() + self._rows.early.tobytes())
        found.update(self._rows.series.tobytes())
        frame = self._rows.table.to_pandas()
        found.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
        return found.hexdigest()


class _Sizes:
    """Expected seconds of a training by its values, before any was measured: the profile's estimate."""

    def __init__(
        self, base: SynthesizerTrainerConfig, rows: SpanRows, deployment: Deployment, fitted: int
    ) -> None:
        found = profile.describe(rows.table, rows.series, rows.train, deployment.dataset)
        self._base, self._fitted = base, fitted
        self._shape = (found.latent, found.chained, found.cadence.longest_grid)

    def seconds(self, values: Values) -> float:
        """Processor seconds of one thread."""
        return estimate(Size.of(configured(self._base, values), self._fitted, *self._shape)).cpu_s


def _oracle(space: dict[str, KeySpace], now: Values, seed: int, folder: Path) -> Proposes:
    # Heavy: keras-tuner imports TensorFlow.
    from components.tuner.core.search import Proposer

    return Proposer(space, now, seed, folder)


def _synthesizer(
    configs: RegionalConfigs, deployment: Deployment, rows: SpanRows, name: str, log: Path
) -> Train:
    """The synthesizer itself, with the locale's generation and gate, each time in a process of its own."""
    from components.synthesizer_trainer.core import rare_events
    from pipeline.tune_worker import Job, run_apart, start_fork_server

    generation, evaluator, trainer = configs.generation, configs.evaluator, configs.synthesizer
    assert generation is not None and evaluator is not None and trainer is not None  # a restricted locale
    place = f"locale={name} span={rows.span} split=train"
    whole = rows.table.filter(pa.array(rows.train))
    rare = rare_events.decide(whole, deployment.dataset, trainer.rare_events, place)
    start_fork_server(log)

    def train(
        fit: pa.Table,
        early: pa.Table,
        judged: pa.Table,
        config: SynthesizerTrainerConfig,
        seed: int,
        steps: Steps | None,
    ) -> Outcome:
        job = Job(fit, early, judged, config, generation, evaluator, rare, seed, place, str(log))
        return run_apart(job, steps)

    return train
