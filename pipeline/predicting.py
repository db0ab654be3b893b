"""Applies a detector of the registry to new rows. It was trained on releases, so it may be used anywhere."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from components.errors import ConfigError, DataError
from components.example_gen.config import ExampleGenConfig, SourceConfig, SplitConfig
from components.example_gen.core.ingest import ingest
from components.executor_base import write_atomically
from components.prophet_evaluator.core.storage import load_detector, predict
from components.pusher.fetching import fetch_model
from components.split_io import read_table
from pipeline.config.model import Deployment
from pipeline.registry_version import choose_version

FORMATS = (".parquet", ".csv")
_SPLIT = "rows"


@dataclass(frozen=True)
class Predicted:
    """What was judged.

    Attributes:
      version: Of the detector.
      uri: Where the registry has it.
      rows: Rows judged.
      quarantined: Rows set aside, with their reasons, in `quarantine`.
      quarantine: Folder of the rows that were set aside; None where there are none.
      flagged: Rows flagged, by detector (`interval`, `classifier`).
    """

    version: int
    uri: str
    rows: int
    quarantined: int
    quarantine: Path | None
    flagged: dict[str, int]


def apply_detector(
    deployment: Deployment, rows: str, out: Path, *, locale: str = "", version: int | None = None
) -> Predicted:
    """Judges rows and writes their scores beside time and series, in the order of series and time.

    Args:
      deployment: Names the registry and the data set.
      rows: Path, glob or URI of CSV, Parquet or TFRecord files, read as ExampleGen reads a locale's.
      out: Parquet or CSV file for the scores; replaced in one step.
      locale: Whose model judges; "" or one that the detector does not know: the model of all.
      version: Of the detector; None takes the newest.

    Raises:
      ConfigError: the ending of `out`, or the version, is none that there is.
      DataError: the rows are refused, or a place cannot be read or written.
      ReleaseError: the detector was altered.
    """
    if out.suffix not in FORMATS:
        raise ConfigError(f"--out {out.name}: unknown ending; allowed: {', '.join(FORMATS)}")
    chosen = choose_version(deployment, version)
    with tempfile.TemporaryDirectory(prefix="isthmus-predict-") as folder:
        work = Path(folder)
        fetch_model(chosen.registry, chosen.folder, chosen.manifest, work / "model")
        detector = load_detector(work / "model")
        dataset = detector.config.dataset.model_copy(update={"label": None, "label_kind": None})
        config = ExampleGenConfig(
            dataset=dataset,
            sources=(SourceConfig(pattern=rows),),
            splits=SplitConfig(mode="single", name=_SPLIT),
        )
        report = ingest(config, work / "examples", work / "quarantine", locale=locale, span=None)
        table = read_table(work / "examples", _SPLIT, dataset=dataset)
        scores = predict(detector, table, locale)
        for place, column in enumerate(dataset.series, start=1):
            scores = scores.add_column(place, column, table[column])
        scores = scores.set_column(0, dataset.timestamp, scores["timestamp"].cast(pa.timestamp("us", "UTC")))
        quarantine = None
        if report.rows_quarantined:
            quarantine = out.with_name(f"{out.name}.quarantine")
            shutil.rmtree(quarantine, ignore_errors=True)
            shutil.copytree(work / "quarantine", quarantine)
        try:
            write_atomically(out, _as_bytes(scores, out.suffix))
        except OSError as error:
            raise DataError(f"{out}: cannot be written ({error.strerror or error})") from error
    flagged = {
        column.removesuffix("_flag"): int(scores[column].to_numpy().sum())
        for column in scores.column_names
        if column.endswith("_flag")
    }
    return Predicted(
        version=chosen.number,
        uri=chosen.uri,
        rows=scores.num_rows,
        quarantined=report.rows_quarantined,
        quarantine=quarantine,
        flagged=flagged,
    )


def _as_bytes(scores: pa.Table, ending: str) -> bytes:
    sink = pa.BufferOutputStream()
    if ending == ".csv":
        pyarrow.csv.write_csv(scores, sink)
    else:
        pq.write_table(scores, sink)
    return sink.getvalue().to_pybytes()
