"""Applies a detector of the registry to new rows. It was trained on releases, so it may be used anywhere."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from components.errors import ConfigError, DataError, ReleaseError
from components.example_gen.config import ExampleGenConfig, SourceConfig, SplitConfig
from components.example_gen.core.ingest import ingest
from components.executor_base import write_atomically
from components.prophet_evaluator.core.storage import load_detector, predict
from components.pusher.registry import list_versions, signed_by
from components.release.storage import Store, file_entry, open_store, read_bounded
from components.split_io import read_table
from pipeline.config.model import Deployment
from pipeline.revoked import registry_keys, revocations

FORMATS = (".parquet", ".csv")
#: A detector is some megabytes; more than this is not one of ours.
MAX_FILE_BYTES = 1 << 30
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
    central = deployment.central
    registry = open_store(central.registry, "registry", central.registry_storage_options)
    name = central.model_name
    known = list_versions(registry, name)
    if not known:
        raise ConfigError(f"{registry.address(name)}: no version of the detector; `isthmus run` pushes one")
    number = max(known) if version is None else version
    if number not in known:
        listed = ", ".join(map(str, known))
        raise ConfigError(f"--version {number}: not in {registry.address(name)}; allowed: {listed}")
    _check_trust(deployment, number, known[number], registry.address(name, str(number)))
    with tempfile.TemporaryDirectory(prefix="isthmus-predict-") as folder:
        work = Path(folder)
        _fetch(registry, f"{name}/{number}", known[number], work / "model")
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
        version=number,
        uri=registry.address(name, str(number)),
        rows=scores.num_rows,
        quarantined=report.rows_quarantined,
        quarantine=quarantine,
        flagged=flagged,
    )


def _check_trust(deployment: Deployment, version: int, manifest: dict[str, Any], uri: str) -> None:
    """Refuses a version whose signature does not fit, or that stands on a release that was revoked."""
    keys = registry_keys(deployment)
    found = signed_by(manifest, keys)
    if keys and found != f"signed by key {keys[0].key_id}":
        raise ReleaseError(f"{uri}: {found}; the centre signs with key {keys[0].key_id}. Do not use it.")
    for release in revocations(deployment)["revoked"]:
        if any(detector["version"] == version for detector in release["detectors"]):
            raise ReleaseError(
                f"{uri}: stands on {release['release']}, which was revoked ({release['reason']}). Run the "
                "deployment again for a detector without it, or name another --version."
            )


def _fetch(registry: Store, folder: str, manifest: dict[str, Any], target: Path) -> None:
    """Copies the model's files, each checked against the manifest's digest."""
    place = registry.address(folder)
    for name, entry in manifest.get("files", {}).items():
        parts = Path(name).parts
        if parts[:1] != ("model",):
            continue
        if ".." in parts or len(parts) < 2:
            raise ReleaseError(f"{place}: a file's name leads out of the model. Do not use it.")
        data = read_bounded(registry, f"{folder}/{name}", min(int(entry["size_bytes"]), MAX_FILE_BYTES))
        if data is None or file_entry(data).sha256 != entry["sha256"]:
            raise ReleaseError(f"{place}: a file is missing or altered (SHA-256). Do not use it.")
        path = target.joinpath(*parts[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _as_bytes(scores: pa.Table, ending: str) -> bytes:
    sink = pa.BufferOutputStream()
    if ending == ".csv":
        pyarrow.csv.write_csv(scores, sink)
    else:
        pq.write_table(scores, sink)
    return sink.getvalue().to_pybytes()
