"""Reads what StatisticsGen wrote."""

from __future__ import annotations

import os
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from components import split_io
from components.errors import DataError

STATISTICS_FILE = "FeatureStats.pb"


def read_statistics(root: str | os.PathLike[str], split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Statistics of one split of an ExampleStatistics artifact.

    Raises:
      DataError: the file is absent or is no statistics file.
    """
    path = split_io.split_path(root, split) / STATISTICS_FILE
    try:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"split={split}: no statistics at {path}. Run StatisticsGen first.") from error
    except DecodeError as error:
        raise DataError(f"split={split}: {path} is no statistics file. Delete it and run again.") from error


def list_statistics_splits(root: str | os.PathLike[str]) -> list[str]:
    """Splits that have a statistics file, sorted."""
    names = split_io.list_splits(root)
    return [name for name in names if (Path(split_io.split_path(root, name)) / STATISTICS_FILE).is_file()]
