"""`isthmus keys`: signing keys of the locales."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components.errors import ConfigError
from pipeline.commands.shared import JsonOption, print_json

app = typer.Typer(help="Signing keys of the locales.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `new` a word of its own: typer drops the name of an only command."""


@app.command("new")
def new_key(
    private: Annotated[Path, typer.Argument(help="File for the private key.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Make a locale's Ed25519 key pair: PRIVATE and PRIVATE.pub."""
    from components.release.keys import ensure_key_pair, public_key_path

    if private.exists():
        raise ConfigError(f"{private}: exists already; choose another file, or remove it")
    key = ensure_key_pair(private)
    public = public_key_path(private)
    if as_json:
        print_json({"private_key": str(private), "public_key": str(public), "key_id": key.public.key_id})
        return
    print(f"private key: {private} (stays in the locale)")
    print(f"public key:  {public} (give it to the centre)")
    print(f"key id:      {key.public.key_id}")
