"""`isthmus retain` and `isthmus erase`: what a locale deletes, because of its age or on request."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from components.errors import ConfigError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

ApplyOption = Annotated[bool, typer.Option("--apply", help="Do it; without this, nothing is changed.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(retain)
    app.command()(erase)


def retain(
    config: ConfigArgument,
    locale: Annotated[Optional[str], typer.Option(help="Only this locale.", show_default=False)] = None,
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is past its retention time, and what stays all the same and why; delete it with --apply."""
    import contextlib
    import dataclasses

    from pipeline import governance, retaining
    from pipeline.root_lock import hold_root

    deployment = load(config)
    root = Path(deployment.root)
    found = {}
    with hold_root(root) if apply else contextlib.nullcontext():
        for name in governance.chosen(deployment, locale):
            items = retaining.overdue(deployment, name, time.time())
            found[name] = [dataclasses.asdict(item) for item in items]
            if apply:
                retaining.sweep(root / name)
                gone = [item for item in items if not item.needed_by]
                for item in gone:
                    retaining.remove(deployment, item)
                if gone:
                    _record(deployment, name, [item.uri for item in gone])
    if as_json:
        print_json({"applied": apply, "locales": found})
        return
    for name, listed in found.items():
        if not listed:
            print(f"{name}: nothing is past its time")
        for entry in listed:
            stays = f"kept: needed by {entry['needed_by']}" if entry["needed_by"] else ""
            done = stays or ("deleted" if apply else "would be deleted (--apply)")
            print(f"{name}: {entry['kind']}: {entry['uri']}: {entry['age_days']:.1f} days old; {done}")


def _record(deployment: Any, locale: str, uris: list[str]) -> None:
    """Notes a deletion in the audit log, where the locale has one."""
    from components.release.keys import load_private_key
    from pipeline import governance

    log = governance.audit_of(deployment, locale)
    if log is not None:
        key = load_private_key(deployment.locale(locale).signing_key)
        log.record(key, "retention", {"deleted": uris})


def erase(
    config: ConfigArgument,
    locale: Annotated[str, typer.Option(help="The locale.", show_default=False)],
    series: Annotated[
        Optional[str], typer.Option(help="The subject: its value at the source.", show_default=False)
    ] = None,
    series_file: Annotated[
        Optional[Path], typer.Option(help="The same from a file, so that no process list shows it.")
    ] = None,
    column: Annotated[
        Optional[str], typer.Option(help="Series column; needed where there are several.")
    ] = None,
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find what a subject's rows went into; with --apply revoke and delete it, and write the evidence."""
    import contextlib

    from pipeline import erasing, governance
    from pipeline.evidence import words
    from pipeline.root_lock import hold_root

    deployment = load(config)
    governance.chosen(deployment, locale)
    subject = _subject(series, series_file)
    columns = deployment.dataset.series
    if column is None:
        if len(columns) != 1:
            raise ConfigError(
                f"--column: missing; allowed: {', '.join(columns) or 'none: there is no series'}"
            )
        column = columns[0]
    with hold_root(Path(deployment.root)) if apply else contextlib.nullcontext():
        evidence, folder = erasing.erase(deployment, locale, column, subject, apply=apply)
    if as_json:
        print_json({**evidence.model_dump(mode="json"), "folder": str(folder) if folder else None})
    else:
        print("\n".join(words(evidence)))
        if folder:
            print(f"evidence: {folder}")
    if apply and not evidence.complete:
        raise typer.Exit(1)


def _subject(series: str | None, file: Path | None) -> str:
    from components.secrets import SecretRef

    if (series is None) == (file is None):
        raise ConfigError("--series: found neither or both; allowed: one of --series and --series-file")
    return series if series is not None else SecretRef(file=str(file)).read().decode()
