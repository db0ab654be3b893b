"""`isthmus retain`: what a locale deletes because of its age."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from pipeline.commands.shared import ApplyOption, ConfigArgument, JsonOption, load, print_json


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(retain)


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
