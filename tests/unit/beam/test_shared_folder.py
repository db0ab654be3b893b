"""The folder that a step and its workers both see: fresh, gone afterwards, or refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from components.beam.shared_folder import put, shared_folder
from components.errors import ConfigError, DataError
from components.synthetic_gen.exchanged import read_rows, rows_name

FLINK = ("--runner=FlinkRunner", "--flink_master=http://f:8081", "--environment_type=EXTERNAL")


@pytest.mark.parametrize("location", ["", "{tmp}/shared", "memory://shared"])
def test_a_folder_is_fresh_and_gone_afterwards(location: str, tmp_path: Path) -> None:
    location = location.format(tmp=tmp_path)
    args = [f"--temp_location={location}/"] if location else []
    table = pa.table({"x": [1, 2]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    seen = []
    for _ in range(2):
        with (
            pytest.raises(ZeroDivisionError),
            shared_folder(args, tmp_path, "locale=eu") as store,
        ):
            put(store, rows_name(0), sink.getvalue().to_pybytes())
            assert read_rows(store, 0).equals(table)
            with pytest.raises(DataError, match="shard-00001"):
                read_rows(store, 1)
            seen.append(store)
            raise ZeroDivisionError
    assert seen[0].uri != seen[1].uri
    assert all(store.uri.startswith(location or str(tmp_path)) for store in seen)
    assert not any(store.fs.exists(store.root) for store in seen)


def test_workers_elsewhere_need_a_place_to_meet(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"locale=eu: beam: .* temp_location is missing; allowed: "),
        shared_folder(FLINK, tmp_path, "locale=eu"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_deleted_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        shared_folder([f"--temp_location={tmp_path}"], tmp_path, "locale=eu") as store,
    ):
        store.fs.rm(store.root, recursive=True)
    assert f"locale=eu: {store.uri} was not deleted (FileNotFoundError); delete it" in caplog.text


@pytest.mark.parametrize(
    ("args", "scheme"),
    [
        ((), "memory://"),
        (("--runner=DirectRunner", "--direct_running_mode=multi_threading"), "memory://"),
        (("--runner=DirectRunner", "--direct_running_mode=multi_processing"), "/"),
        (("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"), "/"),
    ],
)
def test_rows_stay_in_memory_where_the_workers_share_it(
    args: tuple[str, ...], scheme: str, tmp_path: Path
) -> None:
    with shared_folder(args, tmp_path, "locale=eu", prefer_memory=True) as store:
        put(store, "x", b"1")
        assert store.uri.startswith(scheme)
        assert store.is_local == bool(list(tmp_path.iterdir()))
    with shared_folder((*args, f"--temp_location={tmp_path}"), tmp_path, "x", prefer_memory=True) as store:
        assert store.uri.startswith(str(tmp_path))
