"""An exchange with notices in it is, to everybody who reads releases, the exchange without them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from components.release.exchange import list_releases, list_spans
from components.release.keys import PrivateKey, new_private_key
from components.release.options import DEFAULT_OPTIONS
from components.release.storage import open_store
from pipeline import cli, retaining, starter
from pipeline.config.load import load_deployment
from pipeline.entrypoint import notices
from tests.support.releases import FILES, fields, publish_release

RUN = "0a1b-run"


@pytest.fixture
def key() -> PrivateKey:
    return new_private_key()


@pytest.fixture
def config(tmp_path: Path, key: PrivateKey) -> Path:
    config = starter.write(tmp_path, size="small")
    data = yaml.safe_load(config.read_text())
    for locale in data["locales"]:
        locale["trusted_key"] = key.public.to_text()
        locale["create_key"] = False
        locale["retention"] = {"releases_days": 1}
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def fill(exchange: str, key: PrivateKey) -> None:
    publish_release(open_store(exchange), key, FILES, created_at="2026-01-01T00:00:00Z", **fields(span=1))
    publish_release(open_store(exchange), key, FILES, created_at="2026-01-02T00:00:00Z", **fields(span=2))


def leave_notices(exchange: str) -> Path:
    for run in (RUN, "", "span-1", "1-0123456789ab"):
        notices.write(exchange, DEFAULT_OPTIONS, run, {"zone": "eu-west", "outcome": "pushed"})
    return Path(exchange) / notices.FOLDER


def test_releases_are_listed_verified_and_retained_as_before(
    config: Path, key: PrivateKey, capsys, monkeypatch
) -> None:
    deployment = load_deployment(config)
    exchange = deployment.exchange.uri.removeprefix("file://")
    fill(exchange, key)
    store = open_store(exchange)

    def seen() -> list[object]:
        releases = list_releases(store, "eu-west")
        overdue = retaining.overdue(deployment, "eu-west", 1.9e9)
        return [releases, list_spans(store, "eu-west"), [(x.kind, x.uri, x.needed_by) for x in overdue]]

    before = seen()
    folder = leave_notices(exchange)
    assert seen() == before and len(before[0]) == 2 and len(before[2]) == 2  # type: ignore[arg-type]
    assert list_releases(store, notices.FOLDER) == []

    release = Path(exchange) / list_releases(store, "eu-west")[0].folder
    for place, status in ((release, 0), (folder / RUN, 2)):  # a folder of notices is no release
        monkeypatch.setattr(
            sys, "argv", ["isthmus", "verify", str(place), "--key", key.public.to_text(), "--json"]
        )
        assert cli._run_app() == status
        printed = capsys.readouterr().out
        assert status or json.loads(printed)["verified"]
    for item in retaining.overdue(deployment, "eu-west", 1.9e9):
        if not item.needed_by:
            retaining.remove(deployment, item)
    assert len(list(folder.rglob("*.json"))) == 4
