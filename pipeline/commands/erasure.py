"""`isthmus erase`: what one subject's rows went into, taken back and made again without them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.errors import ConfigError
from pipeline.commands.run import run_once
from pipeline.commands.shared import ApplyOption, ConfigArgument, JsonOption, load, print_json

if TYPE_CHECKING:
    from pipeline.run_state import RunState


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
    gone: Annotated[
        Optional[list[int]],
        typer.Option(help="Span whose source was destroyed: your statement, in the evidence; repeatable."),
    ] = None,
    apply: ApplyOption = False,
    retrain: Annotated[
        bool,
        typer.Option("--retrain", help="With --apply: run the locale and the centre again afterwards."),
    ] = False,
    small: Annotated[
        bool, typer.Option("--small", help="With --retrain: the synthesizer's small preset.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find what a subject's rows went into; revoke, delete and make it again, and write the evidence."""
    import contextlib

    from pipeline import governance
    from pipeline.erasure import drill, retraining
    from pipeline.erasure.words import words
    from pipeline.root_lock import hold_root

    if retrain and not apply:
        raise ConfigError("--retrain: found without --apply; allowed: both, since nothing is changed without")
    if small and not retrain:
        raise ConfigError("--small: found without --retrain; allowed: both, since only a run trains")
    deployment = load(config)
    governance.chosen(deployment, locale)
    subject = _subject(series, series_file)
    column = column or _only_column(deployment)

    def run() -> RunState:
        return run_once(deployment, config, [locale], "merge", small, centre=True)[0]

    with hold_root(Path(deployment.root)) if apply else contextlib.nullcontext():
        evidence, folder = drill.erase(deployment, locale, column, subject, apply=apply, gone=gone or ())
    if retrain:  # the run holds the root itself
        evidence = retraining.retrain(deployment, evidence, run)
    if as_json:
        print_json({**evidence.model_dump(mode="json"), "folder": str(folder) if folder else None})
    else:
        print("\n".join(words(evidence)))
        if folder:
            print(f"evidence: {folder}")
    raise typer.Exit(_exit_status(evidence, apply, retrain))


def _exit_status(evidence: Any, apply: bool, retrain: bool) -> int:
    """0 done; 1 where a source has, or may have, rows of the subject; where the run ended badly, its own."""
    left = retrain and evidence.retraining.state == "left to be done"
    if left and evidence.retraining.exit_status:
        return int(evidence.retraining.exit_status)
    return 1 if apply and (left or not evidence.complete) else 0


def _only_column(deployment: Any) -> str:
    columns: tuple[str, ...] = deployment.dataset.series
    if len(columns) != 1:
        raise ConfigError(f"--column: missing; allowed: {', '.join(columns) or 'none: there is no series'}")
    return columns[0]


def _subject(series: str | None, file: Path | None) -> str:
    from components.secrets import SecretRef

    if (series is None) == (file is None):
        raise ConfigError("--series: found neither or both; allowed: one of --series and --series-file")
    return series if series is not None else SecretRef(file=str(file)).read().decode()
