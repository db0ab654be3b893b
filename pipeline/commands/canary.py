"""`isthmus canary`: searches what lies outside a restricted locale's root for marks planted in it."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.errors import ConfigError, VerdictError, list_briefly
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

if TYPE_CHECKING:
    from components.egress.canary import Leak, Needles
    from components.release.storage import Store


def canary(
    config: ConfigArgument,
    locale: Annotated[str, typer.Option(help="The restricted locale that the marks were planted in.")],
    text: Annotated[
        Optional[list[str]], typer.Option(help="A text that stands nowhere else; repeatable.")
    ] = None,
    number: Annotated[
        Optional[list[float]], typer.Option(help="A number with six significant digits or more; repeatable.")
    ] = None,
    also: Annotated[
        Optional[list[Path]], typer.Option(help="A further folder to search, such as saved output.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search every byte that left a locale for planted marks, in text, binary, coded and packed forms.

    An exchange or registry in an object store is searched too, object by object; one that cannot be read
    ends the search with an error. Older versions of an object, which some stores keep, are not seen.
    """
    deployment = load(config)
    known = [item.name for item in deployment.locales if item.sharing == "restricted"]
    if locale not in known:
        raise ConfigError(f"--locale: found '{locale}'; allowed: {', '.join(known)}")
    if not (text or number):
        raise ConfigError("--text, --number: found none; allowed: at least one mark")
    _check_numbers(number or [])
    missing = [path for path in also or [] if not path.exists()]
    if missing:
        raise ConfigError(f"--also: found {missing[0]}, which is not there; allowed: a file or a folder")
    files, remote = outside(deployment, locale, also or [])
    from components.egress.canary import needles, search

    try:
        wanted = needles(
            {f"text {i + 1}": value for i, value in enumerate(text or [])},
            {f"number {i + 1}": value for i, value in enumerate(number or [])},
        )
    except ValueError as error:
        raise ConfigError(f"--text: {error}") from None
    leaks = search(files, wanted, Path(deployment.root).parent)
    count = sum(path.is_file() for path in files)
    searched = {}
    for store in remote:
        searched[store.uri], found = search_store(store, wanted)
        leaks += found
    result: dict[str, Any] = {
        "locale": locale,
        "files": count + sum(searched.values()),
        "remote": searched,
        "leaks": [dataclasses.asdict(leak) for leak in leaks],
    }
    if as_json:
        print_json(result)
    else:
        for leak in leaks:
            print(f"{leak.file}: {leak.mark} ({leak.form})")
        for uri, objects in searched.items():
            print(f"{uri}: {objects} objects fetched and searched")
        print(f"{result['files']} files outside {locale} searched, {len(leaks)} finds")
    if leaks:
        places = list_briefly(sorted({leak.file for leak in leaks}))
        raise VerdictError(f"canary: marks of {locale} left it: {places}")


def _check_numbers(numbers: list[float]) -> None:
    """Refuses a number whose decimal text is not searched for, being found by chance."""
    from components.egress.canary import MIN_DIGITS

    for number in numbers:
        text = f"{abs(number):.15g}" if math.isfinite(number) else ""
        digits = len(text.partition("e")[0].replace(".", "").strip("0"))
        if digits < MIN_DIGITS:
            raise ConfigError(
                f"--number: found {digits} significant digits, which occur by chance and would be searched "
                f"for in binary form only; allowed: at least {MIN_DIGITS}, zeros at the ends not counted"
            )


def outside(deployment: Any, locale: str, also: list[Path]) -> tuple[list[Path], list[Store]]:
    """What is not the locale's own: other roots, runs, exchange, registry.

    Returns:
      The files of this machine, and the stores that are elsewhere.

    Raises:
      ConfigError: a store's address or options are wrong.
    """
    from components.release.storage import open_store

    exchange, central = deployment.exchange, deployment.central
    root = Path(deployment.root)
    places, remote = [root, *also], []
    for what, uri, options in (
        ("exchange", exchange.uri, exchange.storage_options),
        ("registry", central.registry, central.registry_storage_options),
    ):
        store = open_store(uri, what, options)
        if store.is_local:
            places.append(Path(store.path()))
        else:
            remote.append(store)
    own = root / locale
    found = {path for place in places if place.exists() for path in [place, *place.rglob("*")]}
    return sorted(path for path in found if path != own and own not in path.parents), remote


def search_store(store: Store, wanted: Needles) -> tuple[int, list[Leak]]:
    """Fetches every object of a store in turn, and searches it: how many there were, and the leaks.

    Raises:
      DataError: it cannot be listed, or an object cannot be read. What was not searched is not clean.
    """
    from components.egress.canary import search_file
    from components.release.storage import list_files, storage_errors

    leaks: set[Leak] = set()
    with storage_errors("cannot search", store.uri):
        names = sorted(list_files(store, ""))
    with tempfile.TemporaryDirectory(prefix="isthmus-canary-") as folder:
        copy = Path(folder) / "object"
        for name in names:
            with storage_errors("cannot search", store.address(name)):
                store.fs.get_file(store.path(name), str(copy))
            leaks |= search_file(copy, store.address(name), wanted)
            copy.unlink()
    return len(names), sorted(leaks, key=lambda leak: (leak.file, leak.mark, leak.form))
