"""Where a subject's rows may be at the source: every span that left a trace, and every one that is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.errors import ConfigError, DataError
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core.reading import read_blocks
from components.example_gen.core.spans import SourceFile, list_files
from components.executor_base import read_json
from components.release.exchange import list_spans
from components.release.storage import open_store
from pipeline import governance
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import regional_configs
from pipeline.erasure.evidence import SpanSearch
from pipeline.erasure.steps import Step
from pipeline.retaining import artifact_folders


@dataclasses.dataclass
class _Files:
    """What a span's files hold."""

    read: int = 0
    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)


def search(
    deployment: Deployment,
    locale: str,
    column: str,
    subject: str,
    steps: Iterable[Step],
    gone: Collection[int] = (),
) -> tuple[list[SpanSearch], dict[str, int]]:
    """Looks for the subject in the source files of every span, replaced versions too.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      column: A series column of the data set.
      subject: The value at the source.
      steps: What the locale's records name.
      gone: Spans whose source was destroyed, as the operator states.

    Returns:
      The spans, each with the traces that it left and whether it was searched; and per file with rows of
      the subject, how many.

    Raises:
      ConfigError: `gone` names a span whose source is there, or that left no trace.
      DataError: the exchange or a log cannot be read.
    """
    traces = _traces(deployment, locale, steps)
    files, why = _source(regional_configs(deployment, locale).example_gen, column, subject)
    spans = []
    for span in sorted({*traces, *files}):
        held = files.get(span, _Files())
        reason = "; ".join(held.failures)
        if span not in files:
            reason = why or "the source has no file of this span any more"
        spans.append(
            SpanSearch(
                span=span,
                traces=tuple(sorted(traces.get(span, ()))),
                files=held.read,
                rows=sum(held.rows.values()),
                searched=not reason,
                why=reason,
                stated_gone=span in gone,
            )
        )
    missing = {found.span for found in spans if not found.searched}
    for span in sorted(set(gone) - missing):
        raise ConfigError(
            f"--gone: found {span}, a span that was searched or left no trace; allowed: "
            f"{', '.join(map(str, sorted(missing))) or 'none: every span was searched'}"
        )
    return spans, {name: count for held in files.values() for name, count in held.rows.items()}


def _traces(deployment: Deployment, locale: str, steps: Iterable[Step]) -> dict[int, set[str]]:
    """Spans that the locale has worked on, and what says so."""
    found: dict[int, set[str]] = {}

    def add(span: Any, trace: str) -> None:
        found.setdefault(int(span), set()).add(trace)

    root = Path(deployment.root) / locale
    exchange = open_store(deployment.exchange.uri, options=deployment.exchange.storage_options)
    for span in list_spans(exchange, locale):
        add(span, "exchange")
    for folder in artifact_folders(root, ("ExampleGen", "Pusher")):
        for name in ("ingest.json", "push.json"):
            if (folder / name).exists():
                add(read_json(folder / name)["span"], "artifacts")
    for folder in root.glob("work/ExampleValidator/span-*"):
        number = folder.name.removeprefix("span-")
        if number.isdigit():
            add(number, "artifacts")
    for step in steps:
        if step.span is not None and step.span >= 0:
            add(step.span, "metadata")
    ledger, audit = governance.ledger_of(deployment, locale), governance.audit_of(deployment, locale)
    for reservation in ledger.state().reservations.values() if ledger else ():
        add(reservation.span, "ledger")
    for release in audit.state().releases.values() if audit else ():
        add(release.span, "audit log")
    configured = deployment.locale(locale).span
    if isinstance(configured, int):
        add(configured, "deployment file")
    return found


def _source(config: ExampleGenConfig, column: str, subject: str) -> tuple[dict[int, _Files], str]:
    """What the source holds, by span; and why it holds nothing, where it cannot be listed."""
    found: dict[int, _Files] = {}
    for source in config.sources:
        try:
            filesystem, listed = list_files(source.pattern)
        except DataError as error:
            return {}, str(error)
        for (span, _), files in listed.items():
            held = found.setdefault(span, _Files())
            for file in files:
                held.read += 1
                try:
                    count = _rows(source, file, filesystem, config, column, subject)
                except DataError as error:
                    held.failures.append(str(error))
                    continue
                if count:
                    held.rows[file.name] = held.rows.get(file.name, 0) + count
    return found, ""


def _rows(
    source: SourceConfig,
    file: SourceFile,
    filesystem: Any,
    config: ExampleGenConfig,
    column: str,
    subject: str,
) -> int:
    """Rows of the subject in one file; a row that does not split into columns counts if it has the value."""
    count = 0
    for block in read_blocks(source, file, filesystem, config):
        values = block.columns.get(column)
        if values is not None:
            matches = pc.equal(values.cast(pa.string()), pa.scalar(subject))
            count += int(pc.sum(matches).as_py() or 0)
        count += sum(subject in text for text in block.texts.values())
    return count
