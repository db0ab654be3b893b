"""Builds a region's release from an allow-list of files and publishes it, if it may leave at all."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.egress import rows as egress_rows
from components.egress.categories import SUPPORT_FILE
from components.egress.evaluation import gate_verdicts, released_evaluation
from components.egress.monitoring import OUTWARD_FILE, RELEASE_FILE, released_monitor
from components.egress.schema import parse_schema, public_values, released_schema
from components.egress.sketch import RELEASE_FILE as SKETCH_FILE
from components.egress.sketch import read_sketch
from components.egress.statistics import check_are_of, check_listed
from components.errors import DataError, InternalError, list_briefly
from components.pusher.config import PusherConfig
from components.pusher.publishing import NOTHING, cleared_by_nobody, publish_cleared
from components.pusher.verdict import read_verdict
from components.release.manifest import SCHEMA_VALIDATED, Versions
from components.release.privacy import PrivacyStatement, open_statement, synthetic_statement
from components.release.publish import BeforePublish, draft_release
from components.release.storage import Source
from components.schema_gen.curated import curated_schema
from components.split_io import list_splits, read_batches, read_records, shard_paths, stored_schema
from components.synthesizer_trainer.config import RareEventsConfig
from components.version import __version__

#: The one split of synthetic examples (decision 1). Real rows have others, so that real rows wired to
#: a restricted locale's Pusher by mistake are refused.
SYNTHETIC_SPLITS = ["train"]


#: What a manifest says where the border is a simulation.
HOLDS_ROWS = (
    "This deployment is a simulation (central.ideal): its operator holds the raw rows of locale {locale} "
    "as well, and its centre reads them for comparison. No border protects them from the operator."
)

#: What a manifest says of kinds of anomaly with few real windows, by the policy (`rare_events.below`).
RARE_EVENTS = {
    "refuse": "Rare events: no kind of anomaly with fewer than {minimum} real windows is in these rows; a "
    "model is trained of none.",
    "merge": "Rare events: a kind of anomaly with fewer than {minimum} real windows is called 'other' in "
    "these rows, with all other such kinds, which hides its name but not the shape of its windows.",
    "dp": "Rare events: a kind of anomaly is in these rows if its noisy count stands out of the noise; no "
    "real window was counted without noise.",
}
EVERY_KIND = (
    "Rare events: every kind of anomaly is released by itself, however few real windows of it there are "
    "(rare_events.min_windows is 1)."
)


#: What a manifest says where a sketch without noise goes with it.
SUPPRESSED = (
    "sketch.json holds counts of the real rows on public bins, without differential privacy: those below "
    "{minimum} rows are hidden, with others beside them, and the rest is rounded down to a multiple of it."
)


@dataclass(frozen=True)
class RegionInputs:
    """Folders of the input artifacts; None where a channel is not connected."""

    examples: Path
    schema: Path | None = None
    statistics: Path | None = None
    evaluation: Path | None = None
    blessing: Path | None = None
    monitor: Path | None = None
    sketch: Path | None = None


def push_region(
    config: PusherConfig,
    locale: str,
    span: int,
    inputs: RegionInputs,
    before_publish: BeforePublish = cleared_by_nobody,
) -> dict[str, Any]:
    """Publishes a release, or says why not.

    Args:
      config: Where to, with which key.
      locale, span: Where the rows are from.
      inputs: What to make the release of.
      before_publish: Asked when the content is settled and before anything is written to the exchange.

    Returns:
      The content of `push.json`.

    Raises:
      DataError: the inputs contradict one another, or the exchange cannot be written.
      ConfigError: the signing key cannot be read.
    """
    place = f"locale={locale} span={span}"
    evaluation = _evaluation(inputs.evaluation, config)
    gates = gate_verdicts(evaluation) if evaluation else {}
    refusal = _refusal(config, inputs, gates)
    report: dict[str, Any] = {"locale": locale, "span": span, "kind": config.kind}
    if refusal:
        return {**report, **NOTHING, "reason": refusal}
    splits = list_splits(inputs.examples)
    if config.kind == "synthetic" and splits != SYNTHETIC_SPLITS:
        raise DataError(
            f"{place}: examples have the splits {list_briefly(splits)}; synthetic ones have only 'train'. "
            "Connect the Pusher of a restricted locale to SyntheticGen."
        )
    if not splits:
        raise DataError(f"{place}: there are no examples to release.")
    columns, rows = _describe_rows(inputs.examples, splits)
    if not sum(rows.values()):
        raise DataError(f"{place}: the examples hold no row; there is nothing to release.")
    judged = _judge_rows(config, inputs.examples, columns, splits, place)
    files = _files(config, inputs, splits, rows, judged, place)
    if evaluation is not None:
        files["evaluation.json"] = (json.dumps(evaluation, indent=1, sort_keys=True) + "\n").encode()
    monitor = _monitor(config, inputs.monitor, locale)
    if monitor is not None:
        files[RELEASE_FILE] = monitor
    if config.egress.sketch.mode != "withheld" and config.dataset is not None:
        files[SKETCH_FILE] = read_sketch(inputs.sketch, config.dataset, config.egress.sketch, place)
    draft = draft_release(
        files,
        locale=locale,
        span=span,
        kind=config.kind,
        rows=rows,
        columns=columns,
        versions=Versions(isthmus=__version__, tfx=_version("tfx"), tensorflow=_version("tensorflow")),
        config_digest=config.config_digest,
        privacy=privacy_statement(config, locale, span),
        verdict="BLESSED" if config.kind == "synthetic" else SCHEMA_VALIDATED,
        gates=gates,
    )
    return {**report, **publish_cleared(config, draft, before_publish)}


def _refusal(config: PusherConfig, inputs: RegionInputs, gates: dict[str, str]) -> str:
    """Why nothing may leave; empty where it may."""
    if config.kind == "synthetic" or inputs.blessing is not None:
        verdict, why = read_verdict(inputs.blessing)
        if verdict != "BLESSED":
            return f"{why}; only BLESSED is pushed"
    failed = sorted(name for name, verdict in gates.items() if verdict == "failed")
    return f"BLESSED in spite of failed gates: {list_briefly(failed)}" if failed else ""


def _evaluation(folder: Path | None, config: PusherConfig) -> dict[str, Any] | None:
    if folder is None:
        return None
    try:
        content = json.loads((folder / "evaluation.json").read_text())
        return released_evaluation(content, numbers=config.egress.evaluation == "listed")
    except (OSError, ValueError, AttributeError) as error:
        raise InternalError(f"evaluation.json does not parse ({type(error).__name__})") from None


def _monitor(config: PusherConfig, folder: Path | None, locale: str) -> bytes | None:
    """What monitoring found, as it may leave; None where nothing does."""
    if folder is None or config.dataset is None or config.egress.monitoring == "withheld":
        return None
    path = folder / OUTWARD_FILE
    return (
        released_monitor(path.read_bytes(), config.dataset, config.egress, locale) if path.exists() else None
    )


def _describe_rows(examples: Path, splits: Iterable[str]) -> tuple[dict[str, str], dict[str, int]]:
    """Column types over all splits, and rows per split, as they are in the files."""
    columns: dict[str, str] = {}
    rows: dict[str, int] = {}
    for split in splits:
        rows[split] = sum(len(records) for records in read_records(examples, split))
        for field in stored_schema(examples, split):
            found = column_type(field.type)
            if columns.get(field.name, "null") == "null":
                columns[field.name] = found
            elif found not in ("null", columns[field.name]):
                raise DataError(
                    f"split={split}: column '{field.name}' is {found}, in other splits {columns[field.name]}."
                )
    return columns, rows


def column_type(kind: pa.DataType) -> str:
    """The manifest's name of an Arrow type: `int64`, `float32`, `string` or `null`."""
    if pa.types.is_integer(kind):
        return "int64"
    if pa.types.is_floating(kind):
        return "float32"
    return "null" if pa.types.is_null(kind) else "string"


def _judge_rows(
    config: PusherConfig, examples: Path, columns: Iterable[str], splits: Iterable[str], place: str
) -> dict[str, egress_rows.RowsSummary]:
    """Refuses rows of a restricted locale that its egress policy does not let out; a summary by split."""
    if config.kind == "open" or config.dataset is None:
        return {}
    egress_rows.check_columns(list(columns), config.dataset, place)
    public = public_values(_public_schema(config))
    judged = {}
    for split in splits:
        judged[split] = egress_rows.summarise(read_batches(examples, split))
        support = examples / SUPPORT_FILE
        egress_rows.check_values(judged[split], config.dataset, config.egress, public, support, place)
    return judged


def _public_schema(config: PusherConfig) -> schema_pb2.Schema | None:
    """The curated schema as the program ships it: never the locale's own, which may be inferred."""
    name = config.dataset.schema_name if config.dataset else None
    return curated_schema(name) if name else None


def _files(
    config: PusherConfig,
    inputs: RegionInputs,
    splits: Iterable[str],
    rows: dict[str, int],
    judged: dict[str, egress_rows.RowsSummary],
    place: str,
) -> dict[str, Source]:
    files: dict[str, Source] = {}
    for split in splits:
        for path in shard_paths(inputs.examples, split):
            files[f"Split-{split}/{path.name}"] = path
    if inputs.schema is not None:
        text = (inputs.schema / "schema.pbtxt").read_text()
        schema = parse_schema(text, place)
        if config.kind == "synthetic":
            public = _public_schema(config) if config.egress.domains == "curated" else None
            text = released_schema(schema, public, config.dataset, place)
        files["schema.pbtxt"] = text.encode()
    if inputs.statistics is not None and config.egress.statistics == "synthetic":
        files["statistics/FeatureStats.pb"] = _statistics(inputs.statistics, rows, judged, place)
    return files


def _statistics(
    folder: Path, rows: dict[str, int], judged: dict[str, egress_rows.RowsSummary], place: str
) -> bytes:
    """The statistics of all released splits in one list, each data set named by its split.

    Raises:
      DataError: they count other rows than those that are released, so they are of something else.
    """
    merged = statistics_pb2.DatasetFeatureStatisticsList()
    for split, count in rows.items():
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        try:
            found = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
        except OSError as error:
            raise DataError(
                f"{place} split={split}: statistics cannot be read ({error.strerror})."
            ) from error
        counted = sum(dataset.num_examples for dataset in found.datasets)
        if counted != count:
            raise DataError(
                f"{place} split={split}: the statistics are of {counted} rows, the released examples of "
                f"{count}; only statistics of the released rows may leave. Connect those."
            )
        for dataset in found.datasets:
            if split in judged:
                check_listed(dataset, f"{place} split={split}")
                check_are_of(dataset, judged[split], f"{place} split={split}")
            merged.datasets.add().CopyFrom(dataset)
            merged.datasets[-1].name = split
    return bytes(merged.SerializeToString(deterministic=True))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def privacy_statement(config: PusherConfig, locale: str, span: int) -> PrivacyStatement:
    """The statement of what the configuration claims, or else what is true without differential privacy."""
    extra = (HOLDS_ROWS.format(locale=locale),) if config.operator_holds_rows else ()
    if config.egress.sketch.mode == "suppressed":
        extra = (SUPPRESSED.format(minimum=config.egress.sketch.minimum), *extra)
    if config.kind == "open":
        return open_statement(locale, span, extra)
    if config.rare_events is not None:
        extra = (rare_events_sentence(config.rare_events, config.privacy is not None), *extra)
    return synthetic_statement(locale, span, config.privacy, extra)


def rare_events_sentence(policy: RareEventsConfig, private: bool) -> str:
    """What a release says of its rare kinds: the policy, which is public, and never what it met.

    Args:
      policy: Of the synthesizer.
      private: The synthesizer is differentially private.
    """
    below = policy.below or ("dp" if private else "refuse")
    if below != "dp" and policy.min_windows == 1:
        return EVERY_KIND
    return RARE_EVENTS[below].format(minimum=policy.min_windows)
