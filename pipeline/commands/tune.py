"""`isthmus tune`: searches the synthesizer's settings for a locale's rows, in its region."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from components.errors import ConfigError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json
from pipeline.environment import environment


def tune(
    config: ConfigArgument,
    locale: Annotated[str, typer.Option(help="The locale; its rows are read here.", show_default=False)],
    span: Annotated[
        Optional[int], typer.Option(min=0, help="Its number; as the deployment says where none is given.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Time on the clock, for trials and repeats.")] = 30.0,
    trials: Annotated[
        Optional[int], typer.Option(min=2, help="Configurations at most, the one as it stands included.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=2, max=20, help="Of the best one, with other seeds and held-back rows.")
    ] = 3,
    seed: Annotated[
        Optional[int], typer.Option(min=0, max=2**31 - 1, help="The deployment's where none is given.")
    ] = None,
    space: Annotated[
        Optional[Path], typer.Option(help="What is searched (YAML); docs/tune.md has the default.")
    ] = None,
    output: Annotated[
        Optional[Path],
        typer.Option("-o", "--output", help="Folder of trials and results; the locale's own by default."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove the trials of an earlier search instead of resuming it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Search settings of a locale's synthesizer under a time budget; all of it stays in the region."""
    # Before NumPy and TensorFlow are imported: one thread each, and quiet.
    os.environ.update(environment())
    from components.executor_base import write_atomically
    from pipeline import tune_answer, tune_view, tuning
    from pipeline.quiet import own_stderr
    from pipeline.tune_picture import picture
    from pipeline.tuning_records import PRIVATE, write_private

    # Not less: NaN is refused too.
    if not 0 < minutes < float("inf"):
        raise ConfigError(f"--minutes: found {minutes:g}; allowed: greater than 0")
    deployment = load(config)
    options = tuning.Options(span, minutes, trials, repeats, seed, space, output, fresh)
    with own_stderr() as shown, tune_view.TuneView(locale, minutes, Console(file=shown)) as view:
        tuned = tuning.tune_locale(deployment, locale, options, view.tell, view.steps)
    found: dict[str, Any] = tune_answer.answer(tuned, locale, minutes)
    folder = tuned.folder
    found["files"] = {"trials": str(folder), "picture": str(folder / "tuning.png")}
    proposal = folder / "proposed.yaml"
    try:
        write_atomically(folder / "tuning.png", picture(found), mode=PRIVATE)
        # Of an earlier attempt, which found something that more trials did not confirm.
        proposal.unlink(missing_ok=True)
        if found["proposal"]:
            found["files"]["proposal"] = str(proposal)
            write_atomically(proposal, tune_answer.fragment(found), mode=PRIVATE)
        write_private(folder / "tuning.json", found)
    except OSError as error:
        raise ConfigError(f"-o {folder}: cannot be written ({error.strerror})") from None
    if as_json:
        print_json(found)
        return
    tune_view.show(found, Console())
    if found["proposal"]:
        print(tune_answer.fragment(found), end="")
    for name, path in found["files"].items():
        print(f"{name}: {path}")
