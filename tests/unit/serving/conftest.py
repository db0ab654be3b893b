"""A registry with one signed version of a small detector, and the deployment that names it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import skops.io  # noqa: F401  Searches all loaded modules for its types: 8 s once TensorFlow is.
import yaml

from components.prophet_evaluator.config import (
    ClassifierConfig,
    IntervalDetectorConfig,
    ProphetEvaluatorConfig,
)
from components.pusher.config import ModelPusherConfig
from components.pusher.registry import ModelInputs, push_model
from components.release.keys import ensure_key_pair, load_public_key
from components.release.manifest import Versions, build_manifest
from components.release.privacy import PrivacyStatement
from components.secrets import SecretRef
from pipeline import starter
from tests.unit.prophet_evaluator.conftest import DATASET, make_table

#: 2024-01-01, in days since 1970: the unit of a number is read off its magnitude.
START_DAY = 19_723
CONFIG = ProphetEvaluatorConfig(
    dataset=DATASET,
    open_locales=("us-east",),
    restricted_locales=("eu-west",),
    interval=IntervalDetectorConfig(detect_cycle=False),
    classifier=ClassifierConfig(max_iter=20, window_rows=(4, 8, 16), max_rows=2000),
    bootstrap_samples=200,
    max_rows_per_fit=600,
    workers=1,
)


class World(NamedTuple):
    """Where things are.

    `version` is the folder of the only version, `key` the centre's public key, `releases` what the version
    stands on.
    """

    root: Path
    config: Path
    version: Path
    key: Path
    releases: list[dict[str, Any]]


@pytest.fixture(scope="session")
def _built(tmp_path_factory) -> World:
    from components.prophet_evaluator.core.fitting import fit_detector
    from components.prophet_evaluator.core.frames import prepare
    from components.prophet_evaluator.core.storage import save_detector

    root = tmp_path_factory.mktemp("serving")
    pool = {
        "us-east": make_table(1, sign=-1.0, start_day=START_DAY),
        "eu-west": make_table(2, phase=0.4, start_day=START_DAY),
    }
    detector = fit_detector(
        {locale: prepare(table, DATASET, locale) for locale, table in pool.items()}, CONFIG
    )
    work = root / "work"
    for name in ("model", "blessing", "evaluation", "merge"):
        (work / name).mkdir(parents=True)
    save_detector(detector, work / "model")
    (work / "blessing" / "BLESSED").touch()
    (work / "evaluation" / "evaluation.json").write_text(json.dumps(EVALUATION))
    config = starter.write(root / "fleet", size="small")
    home = config.parent
    releases = [release(home, "us-east", None), release(home, "eu-west", 2.5)]
    (work / "merge" / "merge.json").write_text(json.dumps({"accepted": releases}))
    ensure_key_pair(home / "keys" / "centre.pem")
    text = yaml.safe_load(config.read_text())
    text["central"] |= {"ideal": False, "signing_key": {"file": "keys/centre.pem"}}
    config.write_text(yaml.safe_dump(text))
    push_model(
        ModelPusherConfig(
            registry_uri=str(home / "registry"), signing_key=SecretRef(file=str(home / "keys" / "centre.pem"))
        ),
        ModelInputs(work / "model", work / "blessing", work / "evaluation", work / "merge"),
    )
    return _world(home, releases)


def _world(home: Path, releases: list[dict[str, Any]]) -> World:
    key = home / "keys" / "centre.pem.pub"
    return World(home, home / "isthmus.yaml", home / "registry" / "detector" / "1", key, releases)


def release(home: Path, locale: str, epsilon: float | None) -> dict[str, Any]:
    """Lays a release's manifest into the exchange; gives the entry that a merge report has of it."""
    key = ensure_key_pair(home / "keys" / f"{locale}.pem")
    bound = {"epsilon": epsilon, "delta": 1e-5, "unit": "window", "adjacency": "add_or_remove_one"}
    privacy = PrivacyStatement(sentences=("No differential privacy.",))
    if epsilon is not None:
        privacy = PrivacyStatement(mechanism="DP-SGD", sampling="Poisson", sentences=("DP.",), **bound)
    manifest = key.sign(
        build_manifest(
            locale=locale,
            span=3,
            kind="open" if epsilon is None else "synthetic",
            rows={"train": 4},
            columns={"timestamp": "int64"},
            files={"train.gz": {"sha256": "0" * 64, "size_bytes": 1}},
            versions=Versions(isthmus="0.1.0", tfx="1.16.0", tensorflow="2.16.2"),
            config_digest="",
            privacy=privacy,
            verdict="schema-validated" if epsilon is None else "BLESSED",
            gates={},
        )
    )
    raw = manifest.to_bytes()
    folder = home / "exchange" / locale / "span-3" / f"1-{manifest.release_id}"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(raw)
    return {
        "locale": locale,
        "span": 3,
        "sequence": 1,
        "release_id": manifest.release_id,
        "digest": manifest.content_digest,
        "manifest_sha256": hashlib.sha256(raw).hexdigest(),
    }


def _rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


EVALUATION = {
    "verdict": "BLESSED",
    "deciding_detector": "classifier",
    "scenarios": {
        "Isthmus": {
            "interval": {"overall": {"f1": _rate(0.5), "fpr": _rate(0.02)}},
            "classifier": {"overall": {"f1": _rate(0.75), "fpr": _rate(0.01)}},
        }
    },
}


@pytest.fixture
def world(_built: World, tmp_path: Path) -> World:
    """A copy of it to spoil."""
    home = tmp_path / "fleet"
    shutil.copytree(_built.root, home, ignore=shutil.ignore_patterns("data"))
    return _world(home, _built.releases)


@pytest.fixture(scope="session")
def shared_world(_built: World) -> World:
    """The one of the session, to be left as it is."""
    return _built


@pytest.fixture(scope="session")
def new_rows() -> pa.Table:
    """Two devices, four days after the training rows, without labels."""
    return make_table(4, days=4, phase=0.4, shifts=2, start_day=START_DAY + 8).drop(["label", "kind"])


@pytest.fixture
def public_key(world: World):
    """The centre's public key."""
    return load_public_key(str(world.key))
