"""Reads what StatisticsGen wrote."""

from __future__ import annotations

import os
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from components import split_io
from components.errors import DataError

STATISTICS_FILE = "FeatureStats.pb"
#: Folder, beside the splits', of the statistics of all rows of the span.
SPAN_FOLDER = "span"


def read_statistics(root: str | os.PathLike[str], split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Statistics of one split of an ExampleStatistics artifact.

    Raises:
      DataError: the file is absent or is no statistics file.
    """
    return _read(split_io.split_path(root, split) / STATISTICS_FILE, f"split={split}")


def read_span_statistics(root: str | os.PathLike[str]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Statistics of all rows of an ExampleStatistics artifact, whatever their split.

    Raises:
      DataError: the file is absent (an earlier version wrote none) or is no statistics file.
    """
    return _read(Path(root) / SPAN_FOLDER / STATISTICS_FILE, "whole span")


def _read(path: Path, place: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    try:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{place}: no statistics at {path}. Run StatisticsGen first.") from error
    except DecodeError as error:
        raise DataError(f"{place}: {path} is no statistics file. Delete it and run again.") from error
