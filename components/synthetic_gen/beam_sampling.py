"""Samples shards of sessions on Beam workers, wherever these are.

The pipeline's graph holds numbers of shards, an address and a digest: no rows, no model, no objects of ours
that a pickler would have to understand. What a worker needs it reads from the folder that both sides see,
and what it makes it leaves there.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from components.beam.shared_folder import get, put
from components.dataset import DatasetConfig
from components.release.storage import Store, open_store
from components.synthesizer_trainer.core.planning import Session
from components.synthetic_gen.core import plan_file
from components.synthetic_gen.exchanged import MODEL_FILE, pack_model, plan_name, rows_name, unpack_model

_loaded: dict[str, Any] = {}
_lock = threading.Lock()


def load_synthesizer(folder: str | Path, digest: str) -> Any:
    """The synthesizer of a SavedModel; a process loads (and XLA compiles) it once.

    Args:
      folder: Of the SavedModel.
      digest: Of its content (`pack_model`).

    Returns:
      A `Synthesizer`.
    """
    from components.synthesizer_trainer.core.sampling import Synthesizer

    with _lock:
        return _loaded.get(digest) or _keep(digest, Synthesizer.load(str(folder)))


def fetch_synthesizer(store: Store, digest: str) -> Any:
    """The synthesizer in a shared folder; fetched only by a process that does not have it yet.

    Raises:
      InternalError: the model there is another one.
      DataError: it is missing or cannot be read.
    """
    from components.synthesizer_trainer.core.sampling import Synthesizer

    with _lock:
        if digest in _loaded:
            return _loaded[digest]
        with tempfile.TemporaryDirectory(prefix="isthmus-model-") as folder:
            unpack_model(store, digest, folder)
            return _keep(digest, Synthesizer.load(folder))


def _keep(digest: str, synthesizer: Any) -> Any:
    while len(_loaded) >= 2:  # a process that serves many runs does not hold all their models
        _loaded.pop(next(iter(_loaded)))
    _loaded[digest] = synthesizer
    return synthesizer


@beam.typehints.with_input_types(int)
@beam.typehints.with_output_types(int)
class SampleShard(beam.DoFn):
    """The number of a shard to the number of its rows, which are in the shared folder then.

    Args:
      uri: The shared folder.
      digest: Of the model in it.
      dataset: The columns.
      seed: Seed.
    """

    def __init__(self, uri: str, digest: str, dataset: DatasetConfig, seed: int) -> None:
        super().__init__()
        self._uri, self._digest, self._seed = uri, digest, seed
        # A pydantic model does not survive every pickler; its JSON does.
        self._dataset_json = dataset.to_exec_property()
        self._store: Store | None = None
        self._dataset: DatasetConfig | None = None
        self._synthesizer: Any = None

    def setup(self) -> None:
        """Opens the folder and loads the model, once for each worker."""
        self._store = open_store(self._uri, "beam.temp_location")
        self._dataset = DatasetConfig.from_exec_property(self._dataset_json)
        self._synthesizer = fetch_synthesizer(self._store, self._digest)

    def process(self, element: int) -> Iterator[int]:
        """Samples one shard."""
        from components.synthetic_gen.core.rows import to_table

        assert self._store is not None and self._dataset is not None
        sessions = plan_file.from_bytes(get(self._store, plan_name(element)))
        parts = self._synthesizer.sample(sessions, self._seed)
        table = to_table(self._synthesizer, self._dataset, sessions, parts)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        put(self._store, rows_name(element), sink.getvalue().to_pybytes())
        yield table.num_rows


def sample_shards(
    pipeline: beam.Pipeline,
    shards: list[list[Session]],
    model: str | Path,
    dataset: DatasetConfig,
    store: Store,
    seed: int,
) -> None:
    """Adds the sampling to a pipeline. Once it has run, `shared_folder.read_rows` gives each shard's rows.

    Args:
      pipeline: Of any runner.
      shards: By number.
      model: Folder of the SavedModel.
      dataset: The columns.
      store: The folder that this process and the workers see.
      seed: Seed; with the shards it determines every byte.
    """
    data, digest = pack_model(model)
    put(store, MODEL_FILE, data)
    for number, sessions in enumerate(shards):
        put(store, plan_name(number), plan_file.to_bytes(sessions))
    _ = (
        pipeline
        | "Shards" >> beam.Create(list(range(len(shards))))
        | "Spread" >> beam.Reshuffle()
        | "Sample" >> beam.ParDo(SampleShard(store.uri, digest, dataset, seed))
    )
