"""Executor of SynthesizerTrainer."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from components import executor_base, progress, split_io
from components.beam.executor import BeamExecutor
from components.governance.config import LedgerAccess
from components.governance.core.spending import reserved, write_cost
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.privacy_cost import planned_cost
from components.tfx_shim import artifact_utils
from components.version import __version__

EXAMPLES_KEY = "examples"
STATISTICS_KEY = "statistics"
SCHEMA_KEY = "schema"
MODEL_KEY = "model"
#: Beside the SavedModel: what an operator reads.
SYNTHESIZER_FILE = "synthesizer.json"


class Executor(BeamExecutor):
    """Reads `train` and `eval`, fits the synthesizer, writes the SavedModel and `synthesizer.json`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains; a run that was killed resumes from its checkpoint.

        Args:
          input_dict: `examples`: Examples with the split `train`, and `eval` where there is one;
            `schema`: Schema. `statistics` orders the stages: what was not described is not learned.
          output_dict: `model`: Model.
          exec_properties: `config`: SynthesizerTrainerConfig; `locale`; `seed`; `ledger`: LedgerAccess of
            a locale with a privacy budget, else empty.

        Raises:
          InsufficientDataError: too few rows, or too few labelled windows of a kind of anomaly.
          DataError: a column is missing, or a vocabulary is too large.
          ConfigError: Beam's workers and this step share no folder.
          PrivacyBudgetExceededError: the locale's budget does not allow another model.
        """
        config = executor_base.read_config(exec_properties, SynthesizerTrainerConfig)
        seed, locale = int(exec_properties["seed"]), exec_properties["locale"]
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        schema = executor_base.single_artifact(input_dict, SCHEMA_KEY)
        output = executor_base.single_artifact(output_dict, MODEL_KEY)
        place = f"locale={locale} span={examples.get_int_custom_property('span') or 0}"
        if config.is_private:
            _train_private(config, examples, output, exec_properties, place)
            return

        # Heavy: TensorFlow, tensorflow-transform and Beam.
        from components.synthesizer_trainer.beam_analysis import Engine
        from components.synthesizer_trainer.core import rare_events
        from components.synthesizer_trainer.core.panel import build_panel, check_rows
        from components.synthesizer_trainer.core.training import train_synthesizer
        from components.synthesizer_trainer.schema_bounds import feature_bounds
        from components.synthesizer_trainer.transform import analyse, check_vocabularies

        dataset = config.dataset
        table = split_io.read_table(examples.uri, "train", dataset=dataset)
        check_rows(table, dataset, config.min_train_rows, f"{place} split=train")
        check_vocabularies(table, dataset, config.max_vocabulary, f"{place} split=train")
        rare = rare_events.decide(table, dataset, config.rare_events, f"{place} split=train")
        table = rare_events.merge(table, dataset, rare)
        engine = Engine(tuple(self._beam_pipeline_args), self._make_beam_pipeline, Path(output.uri))
        analysis = analyse(table, dataset, config.quantiles, f"{place} split=train", engine)
        panel = build_panel(table, dataset, analysis.vocabularies, analysis.kinds, f"{place} split=train")
        held_out = None
        if "eval" in artifact_utils.decode_split_names(examples.split_names):
            table = split_io.read_table(examples.uri, "eval", dataset=dataset)
            table = rare_events.merge(table, dataset, rare)
            held_out = build_panel(
                table, dataset, analysis.vocabularies, analysis.kinds, f"{place} split=eval"
            )
        digest = hashlib.sha256(f"{config.digest()} {seed} {__version__}".encode())
        digest.update(panel.time_us.tobytes())
        digest.update(panel.values.tobytes())
        checkpoints = _checkpoint_root(config, output.uri) / digest.hexdigest()[:16]
        access = _ledger_access(exec_properties)
        unit = (access.governance.budget_unit if access else None) or "record"
        span = examples.get_int_custom_property("span") or 0
        with reserved(access, digest.hexdigest()[:16], span, planned_cost(config, unit)) as cost:
            trained = train_synthesizer(
                panel,
                held_out,
                config,
                analysis.quantiles,
                analysis.ranges,
                seed,
                place,
                bounds=feature_bounds(Path(schema.uri) / "schema.pbtxt"),
                checkpoint_dir=checkpoints,
                progress=lambda step, steps, words: progress.report("training", step, steps, **words),
            )
            facts = {"locale": locale, "seed": seed, "config": config, "rare_events": rare.to_json()}
            _save(trained, Path(output.uri), facts)
            if access is not None or cost.is_private:
                write_cost(Path(output.uri), cost)
        executor_base.copy_lineage(examples, output)
        shutil.rmtree(checkpoints, ignore_errors=True)


def _ledger_access(exec_properties: dict[str, Any]) -> LedgerAccess | None:
    text = exec_properties.get("ledger")
    return LedgerAccess.from_exec_property(text) if text else None


def _train_private(
    config: SynthesizerTrainerConfig, examples: Any, output: Any, exec_properties: dict[str, Any], place: str
) -> None:
    """Fits a DP synthesizer to `train`: no other split, no statistics and no inferred schema is read.

    `dp_linear` keeps nothing between attempts: one that was killed draws its noise anew, and what it drew
    before was never seen. `dp_gan` resumes from noisy statistics and weights (`core.dp.kept`). An attempt
    that failed is paid for, and the next one, paid for too, begins anew.
    """
    # Heavy: TensorFlow, dp_accounting.
    from components.synthesizer_trainer.core.dp.kept import Kept
    from components.synthesizer_trainer.core.dp.train import train_dp_synthesizer
    from components.synthesizer_trainer.public_domains import public_domains

    assert config.dp is not None  # the configuration's own rule
    domains, seed = public_domains(config), int(exec_properties["seed"])
    data = examples.get_string_custom_property("data_digest")
    work = hashlib.sha256(f"{config.digest()} {seed} {__version__} {data}".encode()).hexdigest()[:16]
    span = examples.get_int_custom_property("span") or 0
    cost = planned_cost(config, config.dp.unit)
    # Read before anything is reserved: a training that fails is paid for, a file that cannot be read is not.
    table = split_io.read_table(examples.uri, "train", dataset=config.dataset)
    # Without a digest of the data nothing says that a checkpoint is of the same rows.
    folder = _checkpoint_root(config, output.uri) / work if config.critic is not None and data else None
    with reserved(_ledger_access(exec_properties), work, span, cost) as cost:
        try:
            trained = train_dp_synthesizer(
                table,
                config,
                domains,
                seed,
                f"{place} split=train",
                kept=Kept(folder),
                progress=lambda step, steps: progress.report("training", step, steps),
            )
        except Exception:
            _forget(folder)
            raise
        facts = {"locale": exec_properties["locale"], "seed": seed, "config": config}
        _save(trained, Path(output.uri), facts)
        write_cost(Path(output.uri), cost)
    _forget(folder)
    executor_base.copy_lineage(examples, output)


def _forget(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _checkpoint_root(config: SynthesizerTrainerConfig, uri: str) -> Path:
    """Where checkpoints live: as configured, else beside the component's artifacts.

    An artifact's own folder has the execution's number and is deleted when the execution fails. What is
    beside it in a pod goes with the pod; `ISTHMUS_CHECKPOINTS` names a place that stays.
    """
    if config.checkpoint_dir:
        return Path(config.checkpoint_dir)
    if kept := os.environ.get("ISTHMUS_CHECKPOINTS"):
        return Path(kept)
    return Path(uri).parent.parent / "checkpoints"


def _save(trained: Any, target: Path, facts: dict[str, Any]) -> None:
    """Writes the model beside its place and moves it in, `synthesizer.json` last."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".saving-") as folder:
        trained.save(folder)
        for item in sorted(Path(folder).iterdir()):
            found = target / item.name
            if found.is_dir():
                shutil.rmtree(found)
            item.replace(found)
    config = facts.pop("config")
    report = {
        **trained.report,
        **facts,
        "isthmus_version": __version__,
        "config": config.model_dump(mode="json"),
        "config_digest": config.digest(),
    }
    executor_base.write_json(target / SYNTHESIZER_FILE, report)
