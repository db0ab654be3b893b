"""`isthmus predict`: what the detector that was pushed says of new rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Optional

import typer

from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json


def predict(
    config: ConfigArgument,
    rows: Annotated[str, typer.Argument(help="Path, glob or URI of the rows.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Scores and flags: a .parquet or .csv file.", show_default=False)],
    locale: Annotated[
        str, typer.Option(help="Whose model judges; the model of all where none is given.")
    ] = "",
    version: Annotated[
        Optional[int], typer.Option(min=1, help="Of the detector; the newest where none is given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge new rows by the detector in the registry; rows that do not parse are set aside."""
    from pipeline.predicting import apply_detector

    found = apply_detector(load(config), rows, out, locale=locale, version=version)
    if as_json:
        quarantine = str(found.quarantine) if found.quarantine else None
        print_json({**dataclasses.asdict(found), "quarantine": quarantine, "out": str(out)})
        return
    flagged = ", ".join(f"{count:,} by {name}" for name, count in found.flagged.items())
    print(f"{out}: {found.rows:,} rows judged by version {found.version} ({found.uri}); flagged: {flagged}")
    if found.quarantine:
        print(f"{found.quarantined:,} rows were set aside: {found.quarantine}")
