"""TFDV's statistics from large Arrow batches, without Beam.

TFDV's own combiner generators do the arithmetic (basic statistics, quantile sketch, top-k and unique
counts), so the proto is TFDV's; what is left out is the per-row path around them. Memory is that of
one batch and one set of accumulators, whatever the number of rows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.dataset import DatasetConfig
from components.statistics_gen.config import StatisticsGenConfig


class StatisticsAccumulator:
    """Partial statistics of the batches seen so far; two of them merge into those of the union."""

    def __init__(self, config: StatisticsGenConfig) -> None:
        """Makes empty accumulators.

        Args:
          config: Histogram sizes, and the data set whose binary columns are counted per value.
        """
        # TFDV imports TensorFlow: seconds that a caller should not pay for a configuration.
        from tensorflow_data_validation.statistics import stats_impl, stats_options

        options = stats_options.StatsOptions(
            schema=categorical_schema(config.dataset),
            num_histogram_buckets=config.num_histogram_buckets,
            num_quantiles_histogram_buckets=config.num_quantiles_histogram_buckets,
            num_rank_histogram_buckets=config.num_rank_histogram_buckets,
        )
        self._extract = stats_impl.extract_statistics_output
        self._generators: list[Any] = stats_impl.get_generators(options, in_memory=True)
        self._partials = [generator.create_accumulator() for generator in self._generators]

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds a batch of list-typed columns."""
        if batch.num_rows:
            pairs = zip(self._generators, self._partials)
            self._partials = [generator.add_input(partial, batch) for generator, partial in pairs]

    def merge(self, other: StatisticsAccumulator) -> None:
        """Adds what another accumulator has seen; the other must not be used afterwards."""
        self._partials = [
            generator.merge_accumulators([mine, theirs])
            for generator, mine, theirs in zip(self._generators, self._partials, other._partials)
        ]

    def copy(self) -> StatisticsAccumulator:
        """An accumulator with the same content: extracting the one leaves the other usable."""
        twin = copy.copy(self)
        twin._partials = copy.deepcopy(self._partials)
        return twin

    def extract(self, name: str = "") -> statistics_pb2.DatasetFeatureStatisticsList:
        """The statistics, as one dataset of the given name with its features sorted by name.

        TFDV closes its sketches here: nothing can be added or merged afterwards. See `copy`.
        """
        result = self._extract(self._partials, self._generators)
        dataset = result.datasets[0] if result.datasets else result.datasets.add()
        dataset.name = name
        ordered = sorted(dataset.features, key=lambda feature: list(feature.path.step))
        copies = [statistics_pb2.FeatureNameStatistics.FromString(f.SerializeToString()) for f in ordered]
        del dataset.features[:]
        dataset.features.extend(copies)
        return result


def accumulate(
    batches: Iterable[pa.RecordBatch], config: StatisticsGenConfig | None = None
) -> StatisticsAccumulator:
    """Partial statistics of a stream of batches, the same as TFDV's own; `extract` gives the proto.

    Args:
      batches: List-typed record batches (`list<float32 | int64 | binary>`), as TFDV reads them.
      config: Options; the defaults are TFDV's.
    """
    accumulator = StatisticsAccumulator(config or StatisticsGenConfig())
    for batch in batches:
        accumulator.add(batch)
    return accumulator


def merge_accumulators(accumulators: Sequence[StatisticsAccumulator]) -> StatisticsAccumulator:
    """Merges the accumulators of shards, in order, into the first."""
    first, *others = accumulators
    for other in others:
        first.merge(other)
    return first


def categorical_schema(dataset: DatasetConfig | None) -> schema_pb2.Schema | None:
    """The schema that makes TFDV count 0/1 columns per value instead of taking their moments."""
    if dataset is None:
        return None
    names = [*dataset.feature_names("binary"), *([dataset.label] if dataset.label else [])]
    schema = schema_pb2.Schema()
    for name in names:
        feature = schema.feature.add(name=name, type=schema_pb2.INT)
        feature.int_domain.is_categorical = True
    return schema
