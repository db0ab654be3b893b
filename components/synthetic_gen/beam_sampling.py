"""Samples shards of sessions on Beam workers. Everything that is pickled is plain data."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from components.dataset import DatasetConfig
from components.synthesizer_trainer.core.planning import Session


@functools.lru_cache(maxsize=2)
def _load(path: str, _modified: int) -> Any:
    from components.synthesizer_trainer.core.sampling import Synthesizer

    return Synthesizer.load(path)


def load_synthesizer(path: str) -> Any:
    """The synthesizer of a Model artifact; a process loads (and XLA compiles) it once.

    Args:
      path: Folder of the SavedModel.

    Returns:
      A `Synthesizer`.
    """
    return _load(path, (Path(path) / "saved_model.pb").stat().st_mtime_ns)


@beam.typehints.with_input_types(tuple)
@beam.typehints.with_output_types(str)
class SampleShard(beam.DoFn):
    """(number, sessions) to the path of an Arrow file with their rows.

    Args:
      model_path: Folder of the SavedModel.
      dataset: The columns.
      folder: Where the files go; workers and the executor share it.
      seed: Seed.
    """

    def __init__(self, model_path: str, dataset: DatasetConfig, folder: str, seed: int) -> None:
        super().__init__()
        self._model_path, self._folder, self._seed = model_path, folder, seed
        # A pydantic model does not survive every pickler; its JSON does.
        self._dataset_json = dataset.to_exec_property()
        self._dataset: DatasetConfig | None = None

    def setup(self) -> None:
        """Parses the columns; the model is loaded with the first shard."""
        self._dataset = DatasetConfig.from_exec_property(self._dataset_json)

    def process(self, element: tuple[int, list[Session]]) -> Iterator[str]:
        """Samples one shard."""
        from components.synthetic_gen.core.rows import to_table

        number, sessions = element
        synthesizer = load_synthesizer(self._model_path)
        if self._dataset is None:
            self.setup()
        assert self._dataset is not None
        table = to_table(synthesizer, self._dataset, sessions, synthesizer.sample(sessions, self._seed))
        path = Path(self._folder) / f"shard-{number:05d}.arrow"
        # A runner may try a shard again: the file appears whole or not at all.
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        temporary.replace(path)
        yield str(path)


def sample_shards(
    pipeline: beam.Pipeline,
    shards: list[list[Session]],
    model_path: str,
    dataset: DatasetConfig,
    folder: str,
    seed: int,
) -> list[str]:
    """Adds the sampling to a pipeline; files are named by shard.

    Returns:
      The paths that exist once the pipeline has run, in order.
    """
    _ = (
        pipeline
        | "Shards" >> beam.Create(list(enumerate(shards)))
        | "Spread" >> beam.Reshuffle()
        | "Sample" >> beam.ParDo(SampleShard(model_path, dataset, folder, seed))
    )
    return [str(Path(folder) / f"shard-{number:05d}.arrow") for number in range(len(shards))]
