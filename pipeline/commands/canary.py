"""`isthmus canary`: searches what lies outside a restricted locale's root for marks planted in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from components.errors import ConfigError, VerdictError, list_briefly
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json


def canary(
    config: ConfigArgument,
    locale: Annotated[str, typer.Option(help="The restricted locale that the marks were planted in.")],
    text: Annotated[
        Optional[list[str]], typer.Option(help="A text that stands nowhere else; repeatable.")
    ] = None,
    number: Annotated[
        Optional[list[float]], typer.Option(help="A number with six digits or more; repeatable.")
    ] = None,
    also: Annotated[
        Optional[list[Path]], typer.Option(help="A further folder to search, such as saved output.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search every byte that left a locale for planted marks, in text, binary, coded and packed forms."""
    deployment = load(config)
    known = [item.name for item in deployment.locales if item.sharing == "restricted"]
    if locale not in known:
        raise ConfigError(f"--locale: found '{locale}'; allowed: {', '.join(known)}")
    if not (text or number):
        raise ConfigError("--text, --number: found none; allowed: at least one mark")
    files = outside(deployment, locale, also or [])
    from components.egress.canary import needles, search

    try:
        wanted = needles(
            {f"text {i + 1}": value for i, value in enumerate(text or [])},
            {f"number {i + 1}": value for i, value in enumerate(number or [])},
        )
    except ValueError as error:
        raise ConfigError(f"--text: {error}") from None
    leaks = search(files, wanted, Path(deployment.root).parent)
    result: dict[str, Any] = {
        "locale": locale,
        "files": sum(path.is_file() for path in files),
        "leaks": [dataclasses.asdict(leak) for leak in leaks],
    }
    if as_json:
        print_json(result)
    else:
        for leak in leaks:
            print(f"{leak.file}: {leak.mark} ({leak.form})")
        print(f"{result['files']} files outside {locale} searched, {len(leaks)} finds")
    if leaks:
        places = list_briefly(sorted({leak.file for leak in leaks}))
        raise VerdictError(f"canary: marks of {locale} left it: {places}")


def outside(deployment: Any, locale: str, also: list[Path]) -> list[Path]:
    """Files of the deployment that are not the locale's own: other roots, runs, exchange, registry."""
    from components.release.storage import open_store

    root = Path(deployment.root)
    places = [root, *also]
    for uri in (deployment.exchange.uri, deployment.central.registry):
        store = open_store(uri)
        if store.is_local:
            places.append(Path(store.path()))
    own = root / locale
    found = {path for place in places if place.exists() for path in [place, *place.rglob("*")]}
    return sorted(path for path in found if path != own and own not in path.parents)
