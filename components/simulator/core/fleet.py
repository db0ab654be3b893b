"""Simulates locales and writes the fleet: one file a locale and span, one labelled test file."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from components.executor_base import write_json
from components.simulator.config import (
    ANOMALY_KINDS,
    CHANNELS,
    Channel,
    EventRates,
    FleetConfig,
    LocaleConfig,
    dataset_config,
)
from components.simulator.core import anomalies, sensors
from components.simulator.core.faults import apply_faults
from components.simulator.core.physics import DAY_S, Plant, simulate_plant
from components.simulator.plant_config import SensorConfig

#: Days before a period whose rows are thrown away: charge, temperatures and weather settle, so that
#: span n continues span n - 1 without its state having been kept.
WARM_UP_DAYS = 2
_OPERATORS = ("Ada Lindqvist", "Bruno Okafor", "Chandra Iyer", "Dana Petrova", "Emil Novak", "Farah Haddad")
_NORMALS = 3 + len(CHANNELS)  # weather, clouds, valves, one noise per sensor

#: Called as progress(what, done, total) after each file.
Progress = Callable[[str, int, int], None]
Format = Literal["csv", "parquet"]


def simulate_locale(config: FleetConfig, locale: str, span: int) -> pa.Table:
    """The rows of one locale and span, as its data file holds them.

    Args:
      config: The fleet.
      locale: Name of a locale.
      span: Number of the span, from 0; it covers days `span x days` onwards.

    Returns:
      Columns `COLUMNS`, ordered by timestamp, then asset; `timestamp` is an ISO string in UTC.

    Raises:
      ConfigError: no such locale, or a change of its plant is not allowed.
      InsufficientDataError: more anomalies are asked for than fit.
    """
    where = config.locale_in(locale, span)
    frame = _simulate_days(config, where, span * where.days, where.days, where.events, span)
    return _to_table(frame)


def simulate_test(config: FleetConfig, locale: str, spans: int) -> pa.Table:
    """The labelled test period of one locale: the `test_days` days after `spans` spans.

    Returns:
      As `simulate_locale`, with the column `locale` first.
    """
    where = config.locale_in(locale, spans)
    frame = _simulate_days(config, where, spans * where.days, config.test_days, config.test_events, None)
    frame.insert(0, "locale", locale)
    return _to_table(frame)


def simulate_fleet(
    config: FleetConfig,
    out_dir: str | os.PathLike[str],
    spans: int = 1,
    test_days: int | None = None,
    file_format: Format = "csv",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes `<locale>/span-<n>/data.csv`, `test/test.csv` and, last, `fleet.json`.

    Args:
      config: The fleet.
      out_dir: Folder to write to; each file is written whole or not at all.
      spans: Spans per locale.
      test_days: Length of the test period; None takes the configuration's. 0 writes no test file.
      file_format: `csv` or `parquet` (then the files end in `.parquet`).
      progress: Called after each file.

    Returns:
      What `fleet.json` says: `seed`, `config_digest`, `start_date`, `spans`, `test_days`, `dataset`
      (a `DatasetConfig`), `pii`, `locales` (name, sharing, files) and `test`; each file with `path`,
      `rows`, `anomalous_rows`, `rows_by_kind` and `sha256`.
    """
    out = Path(out_dir)
    config = config if not test_days else config.model_copy(update={"test_days": test_days})
    wanted = config.test_days if test_days is None else test_days
    total = len(config.locales) * (spans + bool(wanted)) + bool(wanted)
    done = 0
    report: list[dict[str, Any]] = []
    tests: list[pa.Table] = []

    def step(what: str) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(what, done, total)

    for locale in config.locales:
        files = []
        for span in range(spans):
            table = simulate_locale(config, locale.name, span)
            path = f"{locale.name}/span-{span}/data.{file_format}"
            files.append({"span": span} | _write(table, out, path, file_format))
            step(f"{locale.name} span {span}")
        report.append({"name": locale.name, "sharing": locale.sharing, "files": files})
        if wanted:
            tests.append(simulate_test(config, locale.name, spans))
            step(f"{locale.name} test")
    test = None
    if wanted:
        test = _write(pa.concat_tables(tests), out, f"test/test.{file_format}", file_format)
        step("test file")
    result = {
        "seed": config.seed,
        "config_digest": config.digest(),
        "start_date": config.start_date.isoformat(),
        "spans": spans,
        "test_days": wanted,
        "dataset": dataset_config(config).model_dump(mode="json"),
        "pii": {"operator": "drop", "serial": "pseudonymise"},
        "locales": report,
        "test": test,
    }
    write_json(out / "fleet.json", result)
    return result


def _simulate_days(
    config: FleetConfig,
    locale: LocaleConfig,
    first_day: int,
    days: int,
    rates: EventRates,
    span: int | None,
) -> pd.DataFrame:
    """Rows of `days` days; `span` None is the test period."""
    per_day, assets = locale.steps_per_day, locale.assets
    lead, rows = WARM_UP_DAYS * per_day, days * per_day
    normal, uniform = _noise(config, locale, first_day - WARM_UP_DAYS, days + WARM_UP_DAYS)
    time_s = (first_day - WARM_UP_DAYS) * DAY_S + np.arange(lead + rows) * float(locale.interval_s)

    events = anomalies.schedule(
        config, locale, rates, first_day, days, _generator(config, locale, "events", first_day)
    )
    lost = {
        kind: np.concatenate(
            [np.zeros((lead, assets), bool), anomalies.cause_mask(events, kind, rows, assets)]
        )
        for kind in anomalies.PLANT_KINDS
    }
    spread = _generator(config, locale, "assets").standard_normal((assets, 5))
    plant = simulate_plant(locale, time_s, normal[:, :, :3], spread, lost["heater_loss"], lost["cell_loss"])

    columns = _read_sensors(config, locale, plant, events, normal[:, :, 3:], uniform[lead:, :, 1:], first_day)
    codes = anomalies.labels(events, rows, assets).ravel()
    mode = np.where(plant.safe, 2, (plant.irradiance > 0).astype(int))[lead:].ravel()
    row = np.repeat(np.arange(rows), assets)
    stamp_us = (time_s[lead:] + locale.clock_offset_s) * 1e6
    start = np.datetime64(config.start_date, "us")
    frame = pd.DataFrame({"timestamp": np.repeat(start + np.round(stamp_us).astype("m8[us]"), assets)})
    names = [f"{locale.name}-pump-{number + 1:02d}" for number in range(assets)]
    frame["asset"] = np.tile(np.array(names, object), rows)
    frame["temp_c"] = columns["temp_c"]
    frame["heater_on"] = plant.heater_on[lead:].ravel().astype(np.int64)
    for channel in CHANNELS[1:]:
        frame[channel] = columns[channel]
    frame["mode"] = np.array(["eclipse", "sun", "safe"], object)[mode]
    frame["label"] = (codes > 0).astype(np.int64)
    frame["kind"] = np.array(["", *ANOMALY_KINDS], object)[codes]
    # Three shifts a day.
    shift = (row * locale.interval_s // 28_800) % 3
    offset = _name_key(locale.name) % len(_OPERATORS)
    frame["operator"] = np.array(_OPERATORS, object)[(shift + offset) % len(_OPERATORS)]
    serials = [f"SN-{_name_key(name) % 1_000_000:06d}" for name in names]
    frame["serial"] = np.tile(np.array(serials, object), rows)
    frame["row"] = row
    gone = sensors.missing_rows(uniform[lead:, :, 0], locale.missing_row_fraction, locale.gap_rows)
    frame = frame[~gone.ravel()]
    if span is not None:
        hits_here = tuple(f for f in config.faults if f.locale == locale.name and f.span == span)
        frame = apply_faults(frame, hits_here, rows)
    return frame.drop(columns="row")


def _read_sensors(
    config: FleetConfig,
    locale: LocaleConfig,
    plant: Plant,
    events: tuple[anomalies.Event, ...],
    normal: np.ndarray,
    uniform: np.ndarray,
    first_day: int,
) -> dict[Channel, np.ndarray]:
    """Flat readings [time x asset] per channel: anomalies, noise, quantiser, null cells.

    `normal` is [lead + time, asset, sensor] like the plant, `uniform` [time, asset, sensor].
    """
    lead = len(normal) - len(uniform)
    distortion = _generator(config, locale, "distortion", first_day)
    columns: dict[Channel, np.ndarray] = {}
    for index, (channel, hits) in enumerate(anomalies.events_on(events, config).items()):
        sensor = locale.sensors.get(channel, SensorConfig())
        read = anomalies.distort(getattr(plant, channel), lead, hits, locale, distortion)
        read = sensors.add_noise(read, sensor, normal[lead:, :, index])
        anomalies.hold(read, hits)
        if channel == "soc":
            read = np.clip(read, 0.0, 1.0)
        read = sensors.quantise(read, sensor)
        read[uniform[:, :, index] < locale.missing_cell_fraction] = np.nan
        columns[channel] = read.ravel()
    return columns


def _noise(
    config: FleetConfig, locale: LocaleConfig, first_day: int, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Normal [time, asset, 3 + sensor] and uniform [time, asset, 1 + sensor] noise.

    One generator a day: a day's noise is the same whichever period it is simulated in.
    """
    shape = (locale.steps_per_day, locale.assets)
    normals, uniforms = [], []
    for day in range(first_day, first_day + days):
        generator = _generator(config, locale, "noise", day)
        normals.append(generator.standard_normal((*shape, _NORMALS)))
        uniforms.append(generator.random((*shape, 1 + len(CHANNELS))))
    return np.concatenate(normals), np.concatenate(uniforms)


def _generator(config: FleetConfig, locale: LocaleConfig, purpose: str, day: int = 0) -> np.random.Generator:
    """An independent stream per locale, purpose and day."""
    entropy = (config.seed, _name_key(locale.name), _name_key(purpose), day + WARM_UP_DAYS)
    return np.random.default_rng(np.random.SeedSequence(entropy))


def _name_key(name: str) -> int:
    """A number for a name that is the same in every process (`hash` is not)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _to_table(frame: pd.DataFrame) -> pa.Table:
    """Arrow table with null for NaN and ISO stamps; milliseconds only where there are any."""
    stamps = frame["timestamp"].to_numpy().astype("M8[us]")
    unit: Literal["s", "ms"] = "ms" if np.any(stamps.astype(np.int64) % 1_000_000) else "s"
    iso = pa.array(np.char.add(np.datetime_as_string(stamps, unit=unit), "Z"))
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return table.set_column(table.column_names.index("timestamp"), "timestamp", iso)


def _write(table: pa.Table, out: Path, path: str, file_format: Format) -> dict[str, Any]:
    """Writes a table and describes the file."""
    target = out / path
    with _replacing(target) as temporary:
        if file_format == "csv":
            pa.csv.write_csv(table, temporary)
        else:
            pa.parquet.write_table(table, temporary)
        with Path(temporary).open("rb") as file:
            digest = hashlib.sha256()
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    kinds = collections.Counter(table["kind"].to_pylist())
    del kinds[""]
    return {
        "path": path,
        "rows": table.num_rows,
        "anomalous_rows": sum(kinds.values()),
        "rows_by_kind": dict(sorted(kinds.items())),
        "sha256": digest.hexdigest(),
    }


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[str]:
    """A temporary file beside `target` that becomes `target` when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        yield temporary
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
