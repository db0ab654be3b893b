"""`isthmus profile`: what a locale's rows are like, and a configuration of the synthesizer for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from components.errors import ConfigError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

#: The operator's alone.
_PRIVATE = 0o600


def profile(
    config: ConfigArgument,
    locale: Annotated[str, typer.Option(help="The locale; its rows are read here.", show_default=False)],
    span: Annotated[
        Optional[int], typer.Option(min=0, help="Its number; as the deployment says where none is given.")
    ] = None,
    output: Annotated[
        Optional[Path],
        typer.Option("-o", "--output", help="Write the proposal here (YAML, mode 600)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a locale's rows and propose a synthesizer's configuration; both stay in the region."""
    from components.executor_base import write_atomically
    from pipeline import profile_view, profiling

    deployment = load(config)
    if output is not None and output.exists():
        raise ConfigError(f"-o {output}: exists already; allowed: another name, or remove it")
    answer = profiling.profile_locale(deployment, locale, span)
    if output is not None:
        text = profiling.fragment(answer)
        try:
            write_atomically(output, text, mode=_PRIVATE)
        except OSError as error:
            raise ConfigError(f"-o {output}: cannot be written ({error.strerror})") from None
    if as_json:
        print_json(answer)
        return
    profile_view.show(answer, Console())
    if output is not None:
        print(f"proposal: {output}")
