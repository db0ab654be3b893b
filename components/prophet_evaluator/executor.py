"""Reads the merged examples and the test set, runs the evaluation, writes three artifacts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from components import progress, split_io
from components.blessing import write_blessing
from components.errors import DataError
from components.executor_base import (
    copy_lineage,
    optional_artifact,
    read_config,
    single_artifact,
    write_atomically,
    write_json,
)
from components.prophet_evaluator.config import ProphetEvaluatorConfig
from components.tfx_shim import BaseExecutor
from components.version import __version__

TEST_SPLIT = "test"


class Executor(BaseExecutor):
    """Trains and judges the central detector."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the detector, its evaluation and its blessing.

        Args:
          input_dict: `examples`, `test_examples`, optionally `ideal_examples`.
          output_dict: `model`, `evaluation`, `blessing`.
          exec_properties: `config`.

        Raises:
          DataError: the test set is not labelled, a column is missing, or nothing can be trained.
        """
        # Prophet and scikit-learn take seconds to import; the compiler must not pay for them.
        from components.fairness.core.report import FAIRNESS_FILE
        from components.prophet_evaluator.core import plots
        from components.prophet_evaluator.core.evaluate import evaluate
        from components.prophet_evaluator.core.storage import save_detector

        config = read_config(exec_properties, ProphetEvaluatorConfig)
        examples = single_artifact(input_dict, "examples")
        test = single_artifact(input_dict, "test_examples")
        ideal = optional_artifact(input_dict, "ideal_examples")

        names = [*split_io.arrow_schema(config.dataset).names, config.locale_column]
        if TEST_SPLIT not in split_io.list_splits(test.uri):
            raise DataError(
                f"test_examples: there is no split '{TEST_SPLIT}'. Ingest the labelled test set first."
            )
        columns = list(dict.fromkeys(names))
        test_table = split_io.read_table(test.uri, TEST_SPLIT, columns=columns, dataset=config.dataset)
        result = evaluate(
            _read_locales(examples.uri, config, (*config.open_locales, *config.restricted_locales)),
            test_table,
            _read_locales(ideal.uri, config, config.restricted_locales) if ideal is not None else None,
            config,
            lambda stage, done, total: progress.report(stage, done, total),
        )

        model, evaluation, blessing = (
            single_artifact(output_dict, key) for key in ("model", "evaluation", "blessing")
        )
        inputs = {"examples": examples, "test_examples": test, "ideal_examples": ideal}
        digests = {
            key: artifact.get_string_custom_property("data_digest") or ""
            for key, artifact in inputs.items()
            if artifact is not None
        }
        provenance = {"scenario": result.detector_scenario, "input_digests": digests}
        save_detector(result.detector, Path(model.uri), provenance)

        folder = Path(evaluation.uri)
        curves = plots.forecast_curves(result, config.dataset)
        write_json(folder / "forecast.json", curves)
        for curve in curves["series"]:
            parts = (curve["locale"], curve["series"], curves["scenario"], curves["detector"])
            title = " · ".join(part for part in parts if part)
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", curve["locale"]) or "locale"
            write_atomically(folder / "plots" / f"{name}.png", plots.draw_forecast(curve, title))
        write_json(
            folder / "evaluation.json",
            {
                **result.report,
                "config_digest": config.digest(),
                "input_digests": digests,
                "isthmus_version": __version__,
            },
        )

        write_json(folder / FAIRNESS_FILE, result.fairness)

        write_blessing(blessing.uri, result.verdict, result.reasons)
        blessing.set_string_custom_property("verdict", result.verdict)
        for artifact in (model, evaluation, blessing):
            copy_lineage(examples, artifact)


def _read_locales(root: str, config: ProphetEvaluatorConfig, locales: tuple[str, ...]) -> dict[str, pa.Table]:
    """Tables of the locales that have a split; a locale without one is missing, not an error."""
    there = set(split_io.list_splits(root))
    return {
        locale: split_io.read_table(root, locale, dataset=config.dataset)
        for locale in locales
        if locale in there
    }
