"""What SyntheticGen and its workers leave for each other: plans without pickle, a model by its digest."""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from components.beam.shared_folder import put
from components.errors import DataError, InternalError
from components.release.storage import open_store
from components.synthesizer_trainer.core.planning import PlannedEvent, Session
from components.synthetic_gen.core import plan_file
from components.synthetic_gen.exchanged import pack_model, unpack_model


def _session(number: int, rows: int, events: tuple[PlannedEvent, ...] = ()) -> Session:
    keep = np.arange(rows, dtype=np.int64) * 2
    return Session(number, 1_000_000 * number, keep, keep * 60_000_000 + number, events)


def test_a_plan_comes_back_as_it_was() -> None:
    plan = [_session(3, 5, (PlannedEvent(1, 2, 0), PlannedEvent(4, 1, 2))), _session(4, 1), _session(7, 3)]
    found = plan_file.from_bytes(plan_file.to_bytes(plan))
    assert [(s.number, s.start_us, s.events) for s in found] == [
        (s.number, s.start_us, s.events) for s in plan
    ]
    for before, after in zip(plan, found):
        assert (after.keep == before.keep).all() and (after.time_us == before.time_us).all()
        assert after.keep.dtype == after.time_us.dtype == np.int64
    assert plan_file.from_bytes(plan_file.to_bytes([])) == []


def test_a_pickled_plan_is_not_read() -> None:
    file = io.BytesIO()
    np.savez(
        file, head=np.array([{}], dtype=object), **dict.fromkeys(("rows", "keep", "time_us", "events"), 0)
    )
    with pytest.raises(ValueError, match="allow_pickle=False"):
        plan_file.from_bytes(file.getvalue())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "data").write_bytes(b"weights")
    return folder


def test_a_models_digest_is_of_its_content_alone(model: Path) -> None:
    data, digest = pack_model(model)
    os.utime(model / "saved_model.pb", (1, 1))
    assert pack_model(model) == (data, digest)
    (model / "variables" / "data").write_bytes(b"Weights")
    assert pack_model(model)[1] != digest


@pytest.mark.parametrize("uri", ["{tmp}/meet", "memory://{fresh}"])
def test_a_model_arrives_whole_or_not_at_all(uri: str, model: Path, tmp_path: Path) -> None:
    store = open_store(uri.format(tmp=tmp_path, fresh=uuid.uuid4().hex))
    data, digest = pack_model(model)
    with pytest.raises(DataError, match=r"cannot read .*model\.zip"):
        unpack_model(store, digest, str(tmp_path / "out"))
    put(store, "model.zip", data)
    unpack_model(store, digest, str(tmp_path / "out"))
    assert (tmp_path / "out" / "variables" / "data").read_bytes() == b"weights"
    put(store, "model.zip", data.replace(b"weights", b"WEIGHTS"))
    with pytest.raises(InternalError, match=r"model\.zip: found SHA-256 \w{12}, allowed \w{12}"):
        unpack_model(store, digest, str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
