"""What the commands share: options, reading a deployment, printing JSON and errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from components.errors import ConfigError, list_briefly

ConfigArgument = Annotated[Path, typer.Argument(help="Deployment file (YAML).", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Do it; without this, nothing is changed.")]


def load(config: Path) -> Any:
    """The checked deployment of a file.

    Raises:
      ConfigError: it is a folder, does not exist, or is wrong.
    """
    from pipeline.config.load import load_deployment

    if config.is_dir():
        raise ConfigError(
            f"{config}: a folder; allowed: a deployment file, such as {config / 'isthmus.yaml'}"
        )
    return load_deployment(config)


def simulation_warning(deployment: Any, config: Path) -> str:
    """One line where the centre reads raw rows of restricted locales; empty where there is a border."""
    if not deployment.central.ideal:
        return ""
    read = list_briefly(locale.name for locale in deployment.locales if locale.sharing == "restricted")
    return (
        f"WARNING: {config}: a simulation, no border: the centre reads the raw rows of {read}. "
        "Set central.ideal: false before real data come in."
    )


def print_json(value: Any) -> None:
    """One JSON value on stdout, keys sorted."""
    print(json.dumps(value, indent=1, sort_keys=True))


def print_error(message: str, exit_status: int, arguments: list[str]) -> int:
    """Prints an error: one line on stderr and, where `--json` was asked for, one object on stdout.

    Args:
      message: One line, without the program's name.
      exit_status: What the process will end with.
      arguments: Those of the command line. Read as they stand: an error in the arguments themselves
        comes before anything is parsed.

    Returns:
      The exit status.
    """
    print(f"isthmus: {message}", file=sys.stderr)
    _print_json_error(message, exit_status, arguments)
    return exit_status


def print_usage_error(error: Any, arguments: list[str]) -> int:
    """Shows an error of click's in its own words; as JSON too, as `print_error` does. Returns 2."""
    error.show()
    _print_json_error(error.format_message(), 2, arguments)
    return 2


def _print_json_error(message: str, exit_status: int, arguments: list[str]) -> None:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options:
        print_json({"status": "error", "exit": exit_status, "message": message})
