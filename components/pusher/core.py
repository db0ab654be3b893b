"""Builds a region's release from an allow-list of files and publishes it, if it may leave at all."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.errors import DataError, InternalError, list_briefly
from components.pusher.config import PusherConfig
from components.pusher.verdict import read_verdict
from components.release.egress import gate_verdicts, parse_schema, released_evaluation, released_schema
from components.release.exchange import publish_release
from components.release.keys import PrivateKey, ensure_key_pair, load_private_key
from components.release.manifest import SCHEMA_VALIDATED, PrivacyStatement, Versions
from components.release.storage import Source, open_store
from components.split_io import list_splits, read_records, shard_paths, stored_schema
from components.version import __version__

#: The one split of synthetic examples (decision 1). Real rows have others, so that real rows wired to
#: a restricted locale's Pusher by mistake are refused.
SYNTHETIC_SPLITS = ["train"]


@dataclass(frozen=True)
class RegionInputs:
    """Folders of the input artifacts; None where a channel is not connected."""

    examples: Path
    schema: Path | None = None
    statistics: Path | None = None
    evaluation: Path | None = None
    blessing: Path | None = None


def push_region(config: PusherConfig, locale: str, span: int, inputs: RegionInputs) -> dict[str, Any]:
    """Publishes a release, or says why not.

    Returns:
      The content of `push.json`.

    Raises:
      DataError: the inputs contradict one another, or the exchange cannot be written.
      ConfigError: the signing key cannot be read.
    """
    place = f"locale={locale} span={span}"
    evaluation = _evaluation(inputs.evaluation)
    gates = gate_verdicts(evaluation) if evaluation else {}
    refusal = _refusal(config, inputs, gates)
    report: dict[str, Any] = {"locale": locale, "span": span, "kind": config.kind}
    if refusal:
        return {**report, **_NOTHING, "reason": refusal}
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
    files = _files(config, inputs, splits, rows, place)
    if evaluation is not None:
        files["evaluation.json"] = (json.dumps(evaluation, indent=1, sort_keys=True) + "\n").encode()
    published = publish_release(
        open_store(config.exchange_uri),
        _signing_key(config),
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
    manifest = published.manifest
    return {
        **report,
        "pushed": True,
        "outcome": published.outcome,
        "reason": f"the verdict is {manifest.verdict}",
        "uri": published.uri,
        "release_id": manifest.release_id,
        "content_digest": manifest.content_digest,
        "key_id": manifest.signature.key_id if manifest.signature else "",
        "rows": manifest.total_rows,
        "rows_per_split": dict(manifest.rows),
        "bytes": manifest.total_bytes,
        "files": {name: entry.sha256 for name, entry in sorted(manifest.files.items())},
    }


_NOTHING: dict[str, Any] = {
    "pushed": False,
    "outcome": "refused",
    "uri": "",
    "release_id": "",
    "content_digest": "",
    "key_id": "",
    "rows": 0,
    "rows_per_split": {},
    "bytes": 0,
    "files": {},
}


def _refusal(config: PusherConfig, inputs: RegionInputs, gates: dict[str, str]) -> str:
    """Why nothing may leave; empty where it may."""
    if config.kind == "synthetic" or inputs.blessing is not None:
        verdict, why = read_verdict(inputs.blessing)
        if verdict != "BLESSED":
            return f"{why}; only BLESSED is pushed"
    failed = sorted(name for name, verdict in gates.items() if verdict == "failed")
    return f"BLESSED in spite of failed gates: {list_briefly(failed)}" if failed else ""


def _evaluation(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    try:
        return released_evaluation(json.loads((folder / "evaluation.json").read_text()))
    except (OSError, ValueError, AttributeError) as error:
        raise InternalError(f"evaluation.json does not parse ({type(error).__name__})") from None


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


def _files(
    config: PusherConfig, inputs: RegionInputs, splits: Iterable[str], rows: dict[str, int], place: str
) -> dict[str, Source]:
    files: dict[str, Source] = {}
    for split in splits:
        for path in shard_paths(inputs.examples, split):
            files[f"Split-{split}/{path.name}"] = path
    if inputs.schema is not None:
        text = (inputs.schema / "schema.pbtxt").read_text()
        schema = parse_schema(text, place)
        files["schema.pbtxt"] = (released_schema(schema) if config.kind == "synthetic" else text).encode()
    if inputs.statistics is not None:
        files["statistics/FeatureStats.pb"] = _statistics(inputs.statistics, rows, place)
    return files


def _statistics(folder: Path, rows: dict[str, int], place: str) -> bytes:
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
            merged.datasets.add().CopyFrom(dataset)
            merged.datasets[-1].name = split
    return bytes(merged.SerializeToString(deterministic=True))


def _signing_key(config: PusherConfig) -> PrivateKey:
    if config.create_key_if_missing and config.signing_key.file is not None:
        return ensure_key_pair(config.signing_key.file)
    return load_private_key(config.signing_key)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def privacy_statement(config: PusherConfig, locale: str, span: int) -> PrivacyStatement:
    """The statement of the configuration, or else what is true without differential privacy."""
    if config.privacy_sentences:
        return PrivacyStatement(mechanism=config.privacy_mechanism, sentences=config.privacy_sentences)
    sentences: tuple[str, ...]
    if config.kind == "open":
        sentences = (
            f"These are the validated rows of locale {locale}, span {span}, themselves, not synthetic ones.",
            "The sharing policy of the locale is open: nothing but its PII policy was applied to them.",
        )
    else:
        sentences = (
            f"These rows were drawn from a generative model trained on rows of locale {locale}, span {span}.",
            "Training and sampling used no differential privacy: there is no bound that holds against "
            "every attack and for every record.",
            "Covered: the attacks and copy checks that this manifest's gates name as passed were measured "
            "against held-out rows that the model never saw.",
            "Not covered: attacks that are not named, attackers who combine this with other releases or "
            "sources, and what categories and column names reveal by existing.",
        )
    return PrivacyStatement(mechanism=config.privacy_mechanism, sentences=sentences)
