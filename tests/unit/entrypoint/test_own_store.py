"""Artifacts of a zone with a bucket of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import pytest

from components.errors import DataError
from pipeline.config.placement import RegionStore
from pipeline.entrypoint.own_store import OwnStore

METADATA = {"tfx": '{"type": "x"}', "span": 3}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"memory://bucket-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "artifact"
    (made / "Split-train").mkdir(parents=True)
    (made / "Split-train" / "data.gz").write_bytes(b"rows")
    (made / "empty.txt").write_bytes(b"")
    return made


def keep(
    uri: str, folder: Path, reference: Path, task: str = "eu-onboard", name: str = "examples"
) -> dict[str, Any]:
    OwnStore(RegionStore(uri=uri)).keep("eu-onboard", "examples", folder, reference, METADATA)
    return json.loads((reference / "reference.json").read_text())


def fetch(uri: str, reference: Path, name: str = "examples") -> tuple[Path, dict[str, Any]]:
    return OwnStore(RegionStore(uri=uri)).fetch(reference, name)


def test_an_artifact_comes_back_with_its_metadata(uri: str, folder: Path, tmp_path: Path) -> None:
    keep(uri, folder, tmp_path / "reference")
    found, metadata = fetch(uri, tmp_path / "reference")
    files = {str(path.relative_to(found)): path.read_bytes() for path in found.rglob("*") if path.is_file()}
    assert files == {"Split-train/data.gz": b"rows", "empty.txt": b""} and metadata == METADATA


def test_the_launcher_gets_a_reference_and_nothing_else(uri: str, folder: Path, tmp_path: Path) -> None:
    reference = keep(uri, folder, tmp_path / "reference")
    assert [path.name for path in (tmp_path / "reference").rglob("*")] == ["reference.json"]
    assert set(reference) == {"artifact", "sha256"}
    text = json.dumps(reference)
    assert "rows" not in text and "span" not in text and "data.gz" not in text


def test_another_attempt_writes_elsewhere(uri: str, folder: Path, tmp_path: Path) -> None:
    first = keep(uri, folder, tmp_path / "one")
    (folder / "Split-train" / "data.gz").write_bytes(b"other rows")
    second = keep(uri, folder, tmp_path / "two")
    assert first["artifact"] != second["artifact"]
    assert (fetch(uri, tmp_path / "one")[0] / "Split-train" / "data.gz").read_bytes() == b"rows"
    assert (fetch(uri, tmp_path / "two")[0] / "Split-train" / "data.gz").read_bytes() == b"other rows"


def test_an_artifact_without_files_comes_back_empty(uri: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    keep(uri, tmp_path / "empty", tmp_path / "reference")
    found, metadata = fetch(uri, tmp_path / "reference")
    assert list(found.iterdir()) == [] and metadata == METADATA


def test_an_altered_object_is_refused(uri: str, folder: Path, tmp_path: Path) -> None:
    place = keep(uri, folder, tmp_path / "reference")["artifact"]
    fs, root = fsspec.core.url_to_fs(uri)
    fs.pipe_file(f"{root}/{place}/Split-train/data.gz", b"ROWS")
    with pytest.raises(DataError, match=r"Split-train/data\.gz: is not what was written there"):
        fetch(uri, tmp_path / "reference")


def test_the_bucket_alone_cannot_change_file_and_digest(uri: str, folder: Path, tmp_path: Path) -> None:
    place = keep(uri, folder, tmp_path / "reference")["artifact"]
    fs, root = fsspec.core.url_to_fs(uri)
    file = f"{root}/{place}/.artifact.json"
    content = json.loads(fs.cat_file(file))
    fs.pipe_file(f"{root}/{place}/Split-train/data.gz", b"ROWS")
    content["files"]["Split-train/data.gz"] = hashlib.sha256(b"ROWS").hexdigest()
    fs.pipe_file(file, json.dumps(content).encode())
    with pytest.raises(DataError, match=r"\.artifact\.json: is not what was written there"):
        fetch(uri, tmp_path / "reference")


def test_an_object_that_is_gone_is_one_line(uri: str, folder: Path, tmp_path: Path) -> None:
    place = keep(uri, folder, tmp_path / "reference")["artifact"]
    fs, root = fsspec.core.url_to_fs(uri)
    fs.rm(f"{root}/{place}/Split-train/data.gz")
    with pytest.raises(DataError, match="cannot read") as caught:
        fetch(uri, tmp_path / "reference")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "../other",
        "artifacts/../../secrets",
        "artifacts/eu-onboard/0/examples",
        "/etc/passwd",
        "s3://other/artifacts",
        "artifacts/eu-onboard/" + "a" * 32 + "/model",
        "artifacts/eu-onboard/" + "a" * 32 + "/examples/..",
    ],
)
def test_a_reference_to_another_place_is_refused(uri: str, tmp_path: Path, place: str) -> None:
    (tmp_path / "reference.json").write_text(json.dumps({"artifact": place, "sha256": "a" * 64}))
    with pytest.raises(DataError, match=r"artifact examples: its reference names .* which is no place of it"):
        fetch(uri, tmp_path)


def test_without_a_reference_the_maker_is_named(uri: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"artifact examples: no reference\.json came; its maker"):
        fetch(uri, tmp_path)


def test_a_failed_upload_leaves_no_reference(uri: str, folder: Path, tmp_path: Path, monkeypatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def full(*arguments: object, **how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MemoryFileSystem, "put_file", full)
    with pytest.raises(DataError, match="cannot write to"):
        keep(uri, folder, tmp_path / "reference")
    assert not (tmp_path / "reference" / "reference.json").exists()
