"""`isthmus verify`, `isthmus revoke`, and what `isthmus lineage` says of revoked releases."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from components.pusher.config import ModelPusherConfig
from components.pusher.registry import ModelInputs, push_model
from components.release.keys import ensure_key_pair
from components.release.manifest import PrivacyStatement, Versions
from components.release.storage import open_store
from components.secrets import SecretRef
from pipeline import starter, tables
from pipeline.config.load import load_deployment
from pipeline.revoked import revocations
from tests.support.releases import publish_release

FILES = {"Split-train/a.gz": b"one" * 1000, "evaluation.json": b"{}"}


@pytest.fixture(scope="module")
def starting_point(tmp_path_factory):
    return starter.write(tmp_path_factory.mktemp("start") / "fleet", size="small").parent


@pytest.fixture
def fleet(starting_point, tmp_path):
    shutil.copytree(starting_point, tmp_path / "fleet", ignore=shutil.ignore_patterns("data"))
    return tmp_path / "fleet"


def publish(fleet: Path, locale: str = "eu-west", span: int = 1, gates=None) -> str:
    key = ensure_key_pair(fleet / "keys" / f"{locale}.pem")
    done = publish_release(
        open_store(str(fleet / "exchange")),
        key,
        FILES,
        locale=locale,
        span=span,
        kind="synthetic",
        rows={"train": 4},
        columns={"timestamp": "int64"},
        versions=Versions(isthmus="1", tfx="2", tensorflow="3"),
        config_digest="",
        privacy=PrivacyStatement(sentences=("Nothing is promised.",)),
        verdict="BLESSED",
        gates=gates or {},
    )
    return done.uri


def test_verify_says_in_words_what_it_checked(isthmus, fleet):
    uri = publish(fleet)
    exit_status, out, _ = isthmus("verify", uri, "--key", fleet / "keys" / "eu-west.pem.pub")
    assert exit_status == 0
    assert out.endswith("verified\n") and "Nothing is promised." in out
    assert out.count("\n- ") == 8  # seven checks and the one sentence of the privacy statement
    exit_status, out, _ = isthmus("verify", uri, "--config", fleet / "isthmus.yaml", "--json")
    found = json.loads(out)
    assert (exit_status, found["verified"], found["revoked"], len(found["checked"])) == (0, True, None, 7)
    assert found["manifest"]["locale"] == "eu-west"


def test_verify_without_a_key_does_not_say_verified(isthmus, fleet):
    uri = publish(fleet)
    exit_status, out, _ = isthmus("verify", uri)
    assert exit_status == 1
    assert "NOT checked: who signed it" in out and out.endswith("not verified: no key was given\n")
    assert json.loads(isthmus("verify", uri, "--json")[1])["verified"] is False


def test_verify_refuses_what_was_altered(isthmus, fleet):
    uri = publish(fleet)
    (Path(uri) / "evaluation.json").write_text("[]")
    exit_status, out, err = isthmus("verify", uri, "--key", fleet / "keys" / "eu-west.pem.pub", "--json")
    assert (exit_status, json.loads(out)["exit"]) == (2, 2)
    assert "evaluation.json: its SHA-256 is not the one in the manifest" in err and err.count("\n") == 1


def test_revoke_lays_a_note_beside_the_release_and_verify_says_so(isthmus, fleet):
    uri, key = publish(fleet), fleet / "keys" / "eu-west.pem"
    before = sorted(path for path in Path(uri).rglob("*"))
    exit_status, out, _ = isthmus("revoke", uri, "--reason", "a row was real", "--key", key)
    assert exit_status == 0 and out.startswith("revoked: ")
    assert sorted(path for path in Path(uri).rglob("*")) == before  # nothing is deleted, nothing added
    exit_status, out, _ = isthmus(
        "revoke", uri, "--reason", "again", "--config", fleet / "isthmus.yaml", "--json"
    )
    assert (exit_status, json.loads(out)["outcome"]) == (0, "already revoked")
    assert json.loads(out)["note"]["reason"] == "a row was real"
    exit_status, out, _ = isthmus("verify", uri, "--key", f"{key}.pub")
    assert exit_status == 1 and "REVOKED at 20" in out and "a row was real" in out
    found = json.loads(isthmus("verify", uri, "--key", f"{key}.pub", "--json")[1])
    assert found["verified"] is False and found["revoked"]["reason"] == "a row was real"


def test_revoking_with_another_key_warns(isthmus, fleet, tmp_path):
    uri = publish(fleet)
    ensure_key_pair(tmp_path / "other")
    exit_status, out, _ = isthmus("revoke", uri, "--reason", "r", "--key", tmp_path / "other")
    assert exit_status == 0 and "honours this note only if it trusts key" in out
    exit_status, out, _ = isthmus("verify", uri, "--key", fleet / "keys" / "eu-west.pem.pub")
    assert exit_status == 0 and "revocation by a key that is not trusted for locale eu-west; ignored" in out


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, "\x1b[31mred"])
def test_a_reason_that_cannot_be(isthmus, fleet, reason):
    uri = publish(fleet)
    exit_status, _, err = isthmus("revoke", uri, "--reason", reason, "--key", fleet / "keys" / "eu-west.pem")
    assert exit_status == 2 and "--reason: found" in err


def test_what_cannot_be_revoked(isthmus, fleet, tmp_path):
    uri, key = publish(fleet), fleet / "keys" / "eu-west.pem"
    shutil.copytree(uri, tmp_path / "copy")
    assert (
        "revoke it where it was published"
        in isthmus("revoke", tmp_path / "copy", "--reason", "r", "--key", key)[2]
    )
    assert "no release here" in isthmus("revoke", fleet, "--reason", "r", "--key", key)[2]
    assert "nothing to sign with" in isthmus("revoke", uri, "--reason", "r")[2]
    config = fleet / "isthmus.yaml"
    assert "no locale" in isthmus("verify", fleet, "--config", config)[2]


def push_detector(fleet: Path, uris: list[str], text: str, key: Path | None = None) -> None:
    root = fleet / "made" / text
    for folder in ("model", "blessing", "merge"):
        (root / folder).mkdir(parents=True)
    (root / "model" / "detector.json").write_text(text)
    (root / "blessing" / "BLESSED").touch()
    manifests = [json.loads((Path(uri) / "manifest.json").read_text()) for uri in uris]
    accepted = [
        {
            **{name: item[name] for name in ("locale", "span", "sequence", "release_id")},
            "digest": item["content_digest"],
            "manifest_sha256": "0" * 64,
        }
        for item in manifests
    ]
    (root / "merge" / "merge.json").write_text(json.dumps({"accepted": accepted}))
    config = ModelPusherConfig(
        registry_uri=str(fleet / "registry"), signing_key=SecretRef(file=str(key)) if key else None
    )
    push_model(config, ModelInputs(root / "model", root / "blessing", None, root / "merge"))


def test_lineage_follows_a_revocation_to_every_detector_built_on_it(isthmus, fleet):
    old, new = publish(fleet), publish(fleet, span=2)
    other = publish(fleet, "ap-south")
    ensure_key_pair(fleet / "keys" / "centre.pem")
    push_detector(fleet, [old, other], "one")
    push_detector(fleet, [old], "two", fleet / "keys" / "centre.pem")
    push_detector(fleet, [new, other], "three")
    content = yaml.safe_load((fleet / "isthmus.yaml").read_text())
    content["central"]["signing_key"] = {"file": "keys/centre.pem"}
    (fleet / "isthmus.yaml").write_text(yaml.safe_dump(content))
    deployment = load_deployment(fleet / "isthmus.yaml")
    assert revocations(deployment) == {"revoked": [], "ignored": [], "unknown": []}
    isthmus("revoke", old, "--reason", "leak", "--key", fleet / "keys" / "eu-west.pem")
    ensure_key_pair(fleet / "keys" / "ap-south.pem")
    isthmus("revoke", new, "--reason", "forged", "--key", fleet / "keys" / "ap-south.pem")
    found = revocations(deployment)
    (entry,) = found["revoked"]
    assert (entry["locale"], entry["span"], entry["reason"]) == ("eu-west", 1, "leak")
    assert [detector["version"] for detector in entry["detectors"]] == [1, 2]
    assert [detector["signature"][:13] for detector in entry["detectors"]] == ["not signed", "signed by key"]
    assert len(found["ignored"]) == 1 and "not trusted for locale eu-west" in found["ignored"][0]
    lineage = {
        "run_id": "r",
        "config_digest": "d",
        "regions": {},
        "merge": {"warnings": ["a clock was wrong"]},
        "detector": {},
        "revocations": found,
    }
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(tables.lineage_tree(lineage))
    text = console.export_text()
    assert "warning a clock was wrong" in text
    assert "revoked eu-west/span-1/1-" in text and "built on it: detector version 2" in text


def test_lineage_says_what_it_could_not_look_at(fleet):
    (fleet / "exchange").write_text("no folder")
    (fleet / "registry" / "detector" / "1").mkdir(parents=True)
    (fleet / "registry" / "detector" / "1" / "manifest.json").write_text("{")
    found = revocations(load_deployment(fleet / "isthmus.yaml"))
    assert found["revoked"] == []
    assert any("manifest.json is no JSON object" in line for line in found["unknown"])
