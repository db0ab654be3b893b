"""Follows one subject through a locale: Examples, what was made from them, releases, sources.

A subject is one value of a series column, as it is at the source. Inside the locale it is looked for
in the form that the PII policy stores: a pseudonym is computed with the locale's key, and with the one before
during a rotation; where subjects are generalised to one form, all rows of that form count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from components.errors import ConfigError
from components.example_gen.core.quarantine import ROWS_FILE
from components.executor_base import read_json
from components.release.exchange import is_revoked, list_releases
from components.release.storage import open_store
from pipeline.config.model import Deployment
from pipeline.erasure.evidence import SpanSearch
from pipeline.erasure.forms import KEYED, rows_per_split, rows_set_aside, stored_forms
from pipeline.erasure.pages import pages_with_bins
from pipeline.erasure.searching import search
from pipeline.erasure.steps import STORE_FILE, Step, made_from, measured_against, steps_of
from pipeline.retaining import artifact_folders


@dataclasses.dataclass(frozen=True)
class Influence:
    """Where a subject's rows went; fields as in `Evidence`, and `pushes`: the `push.json` of its releases."""

    stored_as: str
    examples: dict[str, dict[str, int]]
    artifacts: list[str]
    compared: list[str]
    pushes: list[dict[str, Any]]
    compared_releases: list[str]
    spans: list[SpanSearch]
    sources: dict[str, int]
    notes: list[str]


def trace(
    deployment: Deployment, locale: str, column: str, subject: str, gone: Collection[int] = ()
) -> Influence:
    """Follows a subject through everything that a locale holds and has released.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      column: A series column of the data set.
      subject: The value at the source.
      gone: Spans whose source was destroyed, as the operator states.

    Raises:
      ConfigError: the column is no series column, the pseudonym's key cannot be read, or `gone` is wrong.
      DataError: an artifact, the metadata store, a log or the exchange cannot be read.
    """
    series = deployment.dataset.series
    if column not in series:
        raise ConfigError(
            f"--column: found '{column}'; allowed: {', '.join(series) or 'no column: no series'}"
        )
    root = Path(deployment.root)
    steps = steps_of(root, locale)
    forms, how = stored_forms(deployment, locale, column, subject)
    examples, set_aside, notes = _rows(root / locale, column, forms, how)
    # What the same step wrote beside them, such as counts of the same rows.
    seeds = set(examples).union(*(step.writes for step in steps if step.writes & set(examples)))
    found = made_from(steps, seeds)
    compared = measured_against(steps, found)
    pushes = _pushes(found)
    after = _pushes(made_from(steps, compared) - found)
    artifacts = {uri for uri in found if Path(uri).exists()}
    artifacts.update(set_aside, _beside(root, locale, steps, found | compared))
    if not (root / locale / STORE_FILE).exists() and examples:
        notes.append(
            f"{root / locale / STORE_FILE}: not there, so results of other spans that were measured "
            "against these are not known"
        )
    notes += _unknown(deployment, locale, steps, set(pushes))
    spans, sources = search(deployment, locale, column, subject, steps, gone)
    return Influence(
        stored_as=how,
        examples=examples,
        artifacts=sorted(artifacts),
        compared=sorted(uri for uri in compared if Path(uri).exists()),
        pushes=[pushes[uri] for uri in sorted(pushes)],
        compared_releases=sorted(set(after) - set(pushes)),
        spans=spans,
        sources=sources,
        notes=notes,
    )


def _rows(
    root: Path, column: str, forms: list[str], how: str
) -> tuple[dict[str, dict[str, int]], list[str], list[str]]:
    """Examples with rows of the subject, files of set-aside rows with such rows, and notes."""
    # A pseudonym begins with the id of its key.
    prefixes = {form.split("-")[0] for form in forms} if how == KEYED else set()
    examples, set_aside, notes = {}, [], []
    for folder in artifact_folders(root, ("ExampleGen",)):
        if folder.parent.name == "quarantine":
            if rows_set_aside(folder, column, forms):
                set_aside.append(str(folder / ROWS_FILE))
            continue
        rows, foreign = rows_per_split(folder, column, forms, prefixes)
        if sum(rows.values()):
            examples[str(folder)] = rows
        if foreign:
            notes.append(
                f"{folder}: {foreign} rows have pseudonyms of a key that is not configured; whose they are "
                "cannot be told (the PII rule's old_key names the key before)"
            )
    return examples, set_aside, notes


def _beside(root: Path, locale: str, steps: Iterable[Step], found: set[str]) -> list[str]:
    """Files that no artifact holds: reports and pages, and what a refused validation left."""
    files: list[Path] = []
    runs: set[str] = set()
    spans: set[int] = set()
    for step in steps:
        # A validation that refused its data has no outputs; what it was made from and against says it.
        touched = step.writes & found or (step.reads | step.compares) & found
        if step.component == "ExampleGen" and step.writes & found and step.span is not None:
            spans.add(step.span)
        if step.run_id and touched:
            runs.add(step.run_id)
            files += (root / locale / "reports").glob(f"{step.run_id}.*")
        if step.component == "ExampleValidator" and touched and step.span is not None:
            files += (root / locale / "work" / "ExampleValidator" / f"span-{step.span}").glob("*.json")
    return [str(file) for file in [*files, *pages_with_bins(root, locale, runs, spans)]]


def _pushes(uris: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The `push.json` of every release among some artifacts, by the release's address."""
    found = {}
    for uri in uris:
        file = Path(uri) / "push.json"
        content = dict(read_json(file)) if file.exists() else {}
        if content.get("pushed"):
            found[str(content["uri"])] = content
    return found


def _unknown(deployment: Deployment, locale: str, steps: list[Step], known: set[str]) -> list[str]:
    """Releases of which cannot be told whose rows they had."""
    options = deployment.exchange.storage_options
    named = {uri for step in steps for uri in step.reads | step.writes}
    lost = {uri for uri in named if Path(uri).parent.name == "examples" and not Path(uri).exists()}
    unsure = _pushes(made_from(steps, lost))
    notes = [
        f"{uri}: the examples that it was made from were deleted, so whose rows it had cannot be told"
        for uri, push in sorted(unsure.items())
        if uri not in known and not is_revoked(push, options)
    ]
    folders = map(str, artifact_folders(Path(deployment.root) / locale, ("Pusher",)))
    pushed = {folder_of(uri) for uri in _pushes(folders)}
    store = open_store(deployment.exchange.uri, options=options)
    for location in list_releases(store, locale):
        address = store.address(location.folder)
        if location.folder not in pushed and not is_revoked({"pushed": True, "uri": address}, options):
            notes.append(
                f"{address}: no run below this root is known to have made it, so whose rows it had "
                "cannot be told"
            )
    return notes


def folder_of(uri: str) -> str:
    """A release's path below its exchange, `<locale>/span-<span>/<sequence>-<release_id>`."""
    return "/".join(uri.rstrip("/").rsplit("/", 3)[1:])
