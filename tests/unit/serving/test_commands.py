"""`isthmus serve-manifest` and `isthmus register-model`: from a deployment file to manifest and server."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from components.release.keys import ensure_key_pair
from components.release.revocation import new_revocation, write_revocation
from components.release.storage import open_store
from pipeline import cli
from tests.unit.serving.model_registry_api import Server

pytestmark = pytest.mark.heavy


@pytest.fixture
def isthmus(monkeypatch, capsys):
    """Calls `isthmus`; gives the exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        exit_status = cli._run_app()
        captured = capsys.readouterr()
        return exit_status, captured.out, captured.err

    return call


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


def test_a_version_becomes_a_manifest_with_the_digest_that_the_server_will_check(world, isthmus, tmp_path):
    out = tmp_path / "inferenceservice.yaml"
    arguments = (
        "serve-manifest",
        world.config,
        "--storage-uri",
        "pvc://registry/detector/1",
        "--version",
        "1",
    )
    assert isthmus(*arguments, "-o", out) == (0, "", "")
    manifest = json.loads((world.version / "manifest.json").read_text())
    found = yaml.safe_load(out.read_text())
    model = found["spec"]["predictor"]["model"]
    assert model["storageUri"] == "pvc://registry/detector/1/"
    assert model["env"][0]["value"] == manifest["content_digest"]
    assert isthmus(*arguments)[1] == out.read_text()
    assert json.loads(isthmus(*arguments, "--json")[1]) == found
    status, _, error = isthmus("serve-manifest", world.config)
    assert status == 2 and "KServe cannot fetch from" in error and error.count("\n") == 1


def test_a_version_that_is_not_to_be_trusted_becomes_none(world, isthmus, server):
    entry = world.releases[1]
    note = new_revocation(
        "eu-west", 3, 1, entry["release_id"], entry["digest"], entry["manifest_sha256"], "a sensor lied"
    )
    key = ensure_key_pair(world.root / "keys" / "eu-west.pem")
    write_revocation(open_store(str(world.root / "exchange")), "eu-west/span-3", note, key)
    status, out, error = isthmus("serve-manifest", world.config, "--storage-uri", "s3://m/1")
    assert (status, out) == (2, "") and "was revoked (a sensor lied)" in error
    assert isthmus("register-model", world.config, "--endpoint", server.url)[0] == 2
    manifest = json.loads((world.version / "manifest.json").read_text())
    (world.version / "manifest.json").write_text(json.dumps({**manifest, "name": "other"}))
    assert "ALTERED" in isthmus("serve-manifest", world.config, "--storage-uri", "s3://m/1")[2]
    assert server.requests == []


def test_a_version_is_registered_with_what_its_manifests_say(world, isthmus, server):
    arguments = (
        "register-model",
        world.config,
        "--endpoint",
        server.url,
        "--storage-uri",
        "s3://m/detector/1",
    )
    status, out, error = isthmus(*arguments, "--json", "--namespace", "isthmus-central")
    assert (status, error) == (0, "")
    assert json.loads(out)["made"] == ["registered_model", "model_version", "model_artifact"]
    (version,), (artifact,) = server.stored["model_version"], server.stored["model_artifact"]
    found = {
        name: value.get("string_value", value.get("double_value"))
        for name, value in version["customProperties"].items()
    }
    manifest = json.loads((world.version / "manifest.json").read_text())
    assert len(found.pop("release_set_digest")) == 64
    assert found.pop("created_at") == manifest["created_at"]
    assert found == {
        "content_digest": manifest["content_digest"],
        "signing_key_id": manifest["signature"]["key_id"],
        "isthmus_version": manifest["isthmus_version"],
        "verdict": "BLESSED",
        "locales": "eu-west,us-east",
        "deciding_detector": "classifier",
        "f1": 0.75,
        "fpr": 0.01,
        "epsilon.eu-west": 2.5,  # us-east is open: it states none
        "delta.eu-west": 1e-5,
    }
    assert (artifact["uri"], artifact["modelSourceGroup"]) == ("s3://m/detector/1", "isthmus-central")
    status, out, _ = isthmus(*arguments)
    assert status == 0 and "made: nothing; it was there" in out


def test_an_epsilon_that_cannot_be_read_is_said_and_not_made_up(world, isthmus, server):
    folder = world.root / "exchange" / "eu-west" / "span-3" / f"1-{world.releases[1]['release_id']}"
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"epsilon":2.5', '"epsilon":0.5'))
    status, _, error = isthmus("register-model", world.config, "--endpoint", server.url)
    assert status == 0 and "WARNING: epsilon of eu-west not known: " in error
    (version,) = server.stored["model_version"]
    assert not [name for name in version["customProperties"] if name.startswith(("epsilon", "delta"))]


def test_an_altered_evaluation_is_not_registered(world, isthmus, server):
    path = world.version / "evaluation.json"
    path.write_text(path.read_text().replace("0.75", "0.95"))
    status, _, error = isthmus("register-model", world.config, "--endpoint", server.url)
    assert status == 2 and "evaluation.json is missing or altered" in error and server.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--endpoint", "registry"), "--endpoint: no address"),
        (("--endpoint", "https://x", "--ca-file", "none.pem"), "--ca-file none.pem: no such file"),
        (("--endpoint", "https://x", "--token-env", "A", "--token-file", "b"), "both given; allowed: one"),
        (("--endpoint", "https://x", "--token-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE is not set"),
        (("--endpoint", "https://x", "--version", "9"), "--version 9: not in"),
    ],
)
def test_bad_options_end_with_2_and_a_line(world, isthmus, arguments, message):
    status, _, error = isthmus("register-model", world.config, *arguments)
    assert status == 2 and message in error and error.count("\n") == 1
