"""Executor of SyntheticGen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from components import executor_base, split_io
from components.beam.executor import BeamExecutor
from components.dataset import TIMESTAMP
from components.egress import categories, numbers
from components.egress.schema import public_values
from components.errors import ConfigError, list_briefly
from components.schema_gen.curated import curated_schema
from components.synthetic_gen.config import SyntheticGenConfig
from components.tfx_shim import artifact_utils

MODEL_KEY = "model"
SCHEMA_KEY = "schema"
EXAMPLES_KEY = "examples"
SYNTHETIC_KEY = "synthetic"

_LOG = logging.getLogger(__name__)


class Executor(BeamExecutor):
    """Plans the sessions, samples them on Beam, checks the rows and writes the split."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the synthetic split.

        Args:
          input_dict: `model`: Model; `schema`: Schema; `examples`: Examples, for the grid `real`.
          output_dict: `synthetic`: Examples.
          exec_properties: `config`: SyntheticGenConfig; `locale`; `span`; `seed`.

        Raises:
          ConfigError: the grid `real` without examples, or a cadence that the model does not have.
          DataError: the rows do not conform to the schema.
        """
        config = executor_base.read_config(exec_properties, SyntheticGenConfig)
        locale, span, seed = (exec_properties[key] for key in ("locale", "span", "seed"))
        model = executor_base.single_artifact(input_dict, MODEL_KEY)
        schema = executor_base.single_artifact(input_dict, SCHEMA_KEY)
        examples = executor_base.optional_artifact(input_dict, EXAMPLES_KEY)
        output = executor_base.single_artifact(output_dict, SYNTHETIC_KEY)
        place = f"locale={locale} span={span}"

        # Heavy: TensorFlow.
        from components.beam.engine_errors import engine_errors
        from components.beam.shared_folder import shared_folder
        from components.synthesizer_trainer.schema_bounds import read_schema
        from components.synthetic_gen.beam_sampling import load_synthesizer, sample_shards
        from components.synthetic_gen.core import grid
        from components.synthetic_gen.core.rows import check_conforms
        from components.synthetic_gen.exchanged import pack_model, read_rows

        synthesizer = load_synthesizer(model.uri, pack_model(model.uri)[1])
        private = bool(synthesizer.metadata.get("differential_privacy"))
        if config.grid == "real":
            if private:
                raise ConfigError(
                    f"{place}: generation.grid is 'real', but the synthesizer is differentially private: "
                    "times and number of real rows are not released. Allowed: regular or rows."
                )
            if examples is None:
                raise ConfigError(
                    f"{place}: grid 'real' needs the channel 'examples', found none. "
                    "Connect it, or set generation.grid to 'regular'."
                )
            columns = [TIMESTAMP, *config.dataset.series]
            table = split_io.read_table(examples.uri, "train", columns=columns, dataset=config.dataset)
            sessions = grid.grid_from_rows(table, config.dataset, f"{place} split=train")
        else:
            sessions = grid.regular_grid(
                config,
                synthesizer.styles,
                synthesizer.interval_s,
                synthesizer.metadata["calendar"]["start_s"],
                synthesizer.metadata["stop_s"],
                place,
            )
        sessions = grid.limit_rows(sessions, config.rows)
        for kind in config.unmet_factors(synthesizer.kinds):
            _LOG.warning(
                "%s: generation.label_amplification: found a factor for '%s', a kind that the model does not "
                "have; its kinds are %s",
                place,
                kind,
                list_briefly(synthesizer.kinds) or "none",
            )
        sessions = synthesizer.plan_events(sessions, config.amplification(synthesizer.kinds), int(seed))
        parts = grid.shards(sessions, config.rows_per_shard)
        specification = read_schema(Path(schema.uri) / "schema.pbtxt")
        root = Path(output.uri)
        root.mkdir(parents=True, exist_ok=True)
        with shared_folder(self._beam_pipeline_args, root, place) as store:
            with engine_errors(place), self._make_beam_pipeline() as pipeline:
                sample_shards(pipeline, parts, model.uri, config.dataset, store, int(seed))

            # Vocabularies and kinds of a private model are public already, and its rows are post-processing:
            # counting real rows, or moving numbers by them, would leave the guarantee.
            judge = _Judge(config, None if private else examples, root)
            if private:
                support = _declared(synthesizer.metadata, config)
                executor_base.write_json(root / categories.SUPPORT_FILE, support)

            def tables() -> Iterator[pa.Table]:
                for number in range(len(parts)):
                    table = read_rows(store, number)
                    # An inferred schema is a finding about real rows, and a private model's rows are
                    # inside its public domains by construction.
                    if not private or config.dataset.schema_name:
                        check_conforms(table, specification, config.dataset, place)
                    yield judge.outward(table, [int(seed), number])

            split_io.write_split(root, config.split, tables())
        output.split_names = artifact_utils.encode_split_names([config.split])
        executor_base.copy_lineage(model, output)
        output.set_string_custom_property("locale", str(locale))
        output.set_int_custom_property("span", int(span))
        # The digest is of these rows, not of the real ones that the model was trained on.
        digest = split_io.split_digest(root, config.split)
        output.set_string_custom_property("data_digest", digest)


def _declared(metadata: dict[str, Any], config: SyntheticGenConfig) -> dict[str, dict[str, int]]:
    """Every public category as supported enough: nothing was counted, and nothing needs to be."""
    enough = config.egress.min_supporters if config.egress else 1
    found = {name: dict.fromkeys(values, enough) for name, values in metadata["vocabularies"].items()}
    if config.dataset.label_kind:
        found[config.dataset.label_kind] = dict.fromkeys(metadata["kinds"], enough)
    return found


class _Judge:
    """Folds rare categories and moves rare numbers, by what the real rows support.

    The counts of supporters stay in the region, beside the synthetic rows; the Pusher reads them.
    """

    def __init__(self, config: SyntheticGenConfig, examples: Any | None, root: Path) -> None:
        self._categories: dict[str, list[str]] = {}
        self._numbers: dict[str, numbers.RareNumbers] = {}
        if config.egress is None or examples is None:
            return
        dataset, policy = config.dataset, config.egress
        named = categories.category_columns(dataset)
        columns = list(dict.fromkeys((*dataset.series, *dataset.feature_names(), *named)))
        real = split_io.read_table(examples.uri, "train", columns=columns, dataset=dataset)
        support = categories.category_support(real, dataset, policy.supporters)
        executor_base.write_json(root / categories.SUPPORT_FILE, support)
        if policy.rare_categories == "other":
            public = public_values(curated_schema(dataset.schema_name)) if dataset.schema_name else {}
            self._categories = categories.rare_categories(support, public, policy)
        self._numbers = numbers.rare_numbers(real, dataset, policy.min_supporters)

    def outward(self, table: pa.Table, seed: list[int]) -> pa.Table:
        """Rows as they may be judged by the gate, and leave."""
        return numbers.blur(categories.fold(table, self._categories), self._numbers, seed)
