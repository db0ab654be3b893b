"""Executor of ReleaseEvaluator: writes the evaluation and the blessing; a negative verdict is no error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import executor_base, split_io
from components.blessing import write_blessing
from components.egress.schema import public_values
from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.core.evaluate import Evaluation, evaluate
from components.schema_gen.curated import curated_schema
from components.tfx_shim import BaseExecutor

EXAMPLES_KEY = "examples"
SYNTHETIC_KEY = "synthetic"
SCHEMA_KEY = "schema"
EVALUATION_KEY = "evaluation"
BLESSING_KEY = "blessing"

EVALUATION_FILE = "evaluation.json"
PLOTS_FILE = "plots.json"


class Executor(BaseExecutor):
    """Compares synthetic Examples with the real train and holdout splits."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `evaluation.json`, `plots.json`, `verdict.json` and the empty file named by the verdict.

        Args:
          input_dict: `examples`: real Examples with splits `train` and `holdout`; `synthetic`: Examples
            with the split `train`; `schema` (optional): orders this step after the schema, not read.
          output_dict: `evaluation`: ModelEvaluation; `blessing`: ModelBlessing.
          exec_properties: `config`: ReleaseEvaluatorConfig.

        Raises:
          DataError: a split is missing or does not read. Nothing is blessed then.
        """
        config = executor_base.read_config(exec_properties, ReleaseEvaluatorConfig)
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        synthetic = executor_base.single_artifact(input_dict, SYNTHETIC_KEY)
        evaluation = executor_base.single_artifact(output_dict, EVALUATION_KEY)
        blessing = executor_base.single_artifact(output_dict, BLESSING_KEY)
        tables = {
            split: split_io.read_table(examples.uri, split, dataset=config.dataset)
            for split in ("train", "holdout")
        }
        released = split_io.read_table(synthetic.uri, "train", dataset=config.dataset)
        previous = None
        if config.previous_synthetic_uri:
            previous = split_io.read_table(config.previous_synthetic_uri, "train", dataset=config.dataset)
        name = config.dataset.schema_name
        public = public_values(curated_schema(name)) if name else {}
        found = evaluate(tables["train"], tables["holdout"], released, config, previous, public)
        write_evaluation(evaluation.uri, found)
        write_blessing(blessing.uri, found.gate.verdict, found.gate.reasons)
        for output in (evaluation, blessing):
            executor_base.copy_lineage(synthetic, output)
        blessing.set_string_custom_property("verdict", found.gate.verdict)
        # TFX's own Pusher and resolvers read this property
        blessing.set_int_custom_property("blessed", int(found.gate.verdict == "BLESSED"))


def write_evaluation(root: str, found: Evaluation) -> None:
    """Writes `evaluation.json` and `plots.json`."""
    executor_base.write_json(Path(root) / PLOTS_FILE, found.plots)
    executor_base.write_json(Path(root) / EVALUATION_FILE, found.to_json())
