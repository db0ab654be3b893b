"""Analyses blocks of columns on Beam workers, wherever these are.

The pipeline's graph holds numbers of blocks and an address: no rows. A block's rows are in the folder that
both sides see, and so is what the worker finds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from components.beam.engine_errors import engine_errors
from components.beam.shared_folder import get, put, shared_folder
from components.release.storage import Store, open_store
from components.synthesizer_trainer.analysers import Block, BlockAnalysis, analyse_block

#: Graph building and sketches keep to one thread of a process; workers beyond that are processes.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Engine:
    """Where the analysis runs.

    Attributes:
      args: Beam's pipeline options.
      make_pipeline: A pipeline with these options.
      folder: Where workers on this machine meet the step: the output artifact's.
    """

    args: tuple[str, ...]
    make_pipeline: Callable[[], beam.Pipeline]
    folder: Path


def block_name(number: int) -> str:
    """File name of a block's rows."""
    return f"block-{number:05d}.arrow"


def found_name(number: int) -> str:
    """File name of what was found in a block."""
    return f"block-{number:05d}.npz"


@beam.typehints.with_input_types(int)
@beam.typehints.with_output_types(int)
class AnalyseBlock(beam.DoFn):
    """The number of a block to itself; what was found is in the shared folder then.

    Args:
      uri: The shared folder.
      quantiles: K, number of quantile intervals.
    """

    def __init__(self, uri: str, quantiles: int) -> None:
        super().__init__()
        self._uri, self._quantiles = uri, quantiles
        self._store: Store | None = None

    def setup(self) -> None:
        """Opens the folder."""
        self._store = open_store(self._uri, "beam.temp_location")

    def process(self, element: int) -> Iterator[int]:
        """Analyses one block."""
        assert self._store is not None
        block = Block.from_bytes(get(self._store, block_name(element)))
        with _LOCK:
            found = analyse_block(block, self._quantiles)
        put(self._store, found_name(element), found.to_bytes())
        yield element


def analyse_on(engine: Engine, blocks: Sequence[Block], quantiles: int, place: str) -> list[BlockAnalysis]:
    """What the analysers find in each block, found by the engine's workers.

    Args:
      engine: Where.
      blocks: By number.
      quantiles: K, number of quantile intervals.
      place: For messages.

    Raises:
      ConfigError: the workers do not see this machine's files, and there is no `temp_location`.
      DataError: the folder cannot be read or written.
      InternalError: the engine failed.
    """
    with shared_folder(engine.args, engine.folder, place, prefer_memory=True) as store:
        for number, block in enumerate(blocks):
            put(store, block_name(number), block.to_bytes())
        with engine_errors(place), engine.make_pipeline() as pipeline:
            _ = (
                pipeline
                | "Blocks" >> beam.Create(list(range(len(blocks))))
                | "Spread" >> beam.Reshuffle()
                | "Analyse" >> beam.ParDo(AnalyseBlock(store.uri, quantiles))
            )
        return [BlockAnalysis.from_bytes(get(store, found_name(number))) for number in range(len(blocks))]
