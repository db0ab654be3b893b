"""What can be known to be wrong before anything heavy starts: seconds instead of minutes.

Sources and spans exist, their headers have the columns, the keys are there, the exchange can be
written. Rows are read by ExampleGen, which looks at all of them.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timezone
from pathlib import Path

from components.errors import ConfigError, DataError, IsthmusError
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core.reading import read_blocks
from components.example_gen.core.spans import resolve_sources
from components.release import keys
from components.release.storage import open_store
from components.release.trust import load_keys
from pipeline.config.model import Deployment
from pipeline.config.resolve import central_configs
from pipeline.config.resolve_regional import regional_configs


def prepare_keys(deployment: Deployment) -> None:
    """Makes the key pairs that locales ask for (`create_key`) and do not have yet."""
    for locale in deployment.locales:
        if locale.create_key and locale.signing_key.file:
            keys.ensure_key_pair(locale.signing_key.file)


def examine_locale(deployment: Deployment, name: str) -> IsthmusError | None:
    """What is wrong with a locale's source or keys, or None. It fails that locale, not the run."""
    locale = deployment.locale(name)
    try:
        _examine_source(regional_configs(deployment, name).example_gen, locale.span)
        signing = keys.load_private_key(locale.signing_key)
        trusted, problems = load_keys(locale.trusted_key)
        if problems:
            return ConfigError(f"locale {name}: trusted_key: {problems[0]}")
        now = datetime.now(timezone.utc)
        if all(signing.public.key_id != key.key_id or key.why_not_now(now) for key in trusted):
            known = ", ".join(f"{key.key_id} {key.why_not_now(now)}".strip() for key in trusted)
            return ConfigError(
                f"locale {name}: signing_key has key id {signing.public.key_id}, trusted_key {known}; "
                "allowed: the two halves of one pair, believed now"
            )
    except IsthmusError as error:
        return error
    return None


def examine_centre(deployment: Deployment) -> None:
    """Checks what every locale needs: the exchange and, for the merge, the labelled test set.

    Raises:
      ConfigError: the exchange cannot be written.
      DataError: the test set is missing, empty, or lacks a column (the label among them).
    """
    store = open_store(deployment.exchange.uri, options=deployment.exchange.storage_options)
    if store.is_local:
        folder = Path(store.path())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigError(
                f"exchange.uri {deployment.exchange.uri}: cannot be written ({error.strerror}); "
                "allowed: a folder or URI that this process may write"
            ) from None
    try:
        _examine_source(central_configs(deployment).test, None)
    except DataError as error:
        raise DataError(f"central.test_set: {error}") from None


def _examine_source(config: ExampleGenConfig, span: int | str | None) -> None:
    _, resolved, _ = resolve_sources([source.pattern for source in config.sources], span)  # type: ignore[arg-type]
    for source, found in zip(config.sources, resolved, strict=True):
        # The first block shows the header, and that there is a row at all.
        next(iter(read_blocks(source, found.files[0], found.filesystem, config)), None)
