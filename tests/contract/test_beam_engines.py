"""The engine changes no byte: direct, processes, portable, workers that see none of the driver's files."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.errors import ConfigError, DataError
from tests.support.flink_rest import FlinkRest
from tests.support.synthesizer import ROWS, generate, train

pytestmark = pytest.mark.tfx

PORTABLE = ("--runner=PortableRunner", "--job_endpoint=embed")
DIRECT = {
    "in_memory": ("--runner=DirectRunner", "--direct_running_mode=in_memory"),
    "multi_threading": (
        "--runner=DirectRunner",
        "--direct_running_mode=multi_threading",
        "--direct_num_workers=2",
    ),
    "multi_processing": (
        "--runner=DirectRunner",
        "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
    ),
    "portable loopback": (*PORTABLE, "--environment_type=LOOPBACK"),
}


def _can_cover() -> bool:
    """Whether this process may put a mount of its own over a folder."""
    script = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return shutil.which("unshare") is not None and subprocess.run(script, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    return train(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def reference(inputs: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> str:
    return _digest(inputs, tmp_path_factory.mktemp("reference") / "out", DIRECT["in_memory"])


def _digest(inputs: dict[str, list[Any]], uri: Path, args: tuple[str, ...]) -> str:
    output = generate(inputs, uri, [*args], rows_per_shard=ROWS)
    digest: str = output.get_string_custom_property("data_digest")
    return digest


def _table() -> tuple[Any, Any]:
    """A table of more columns than one block holds, and its description."""
    from components.dataset import DatasetConfig, FeatureConfig

    rng, rows = np.random.default_rng(3), 2_000
    kinds = ["continuous"] * 65 + ["binary", "categorical"]
    features = tuple(FeatureConfig(name=f"f{index}", kind=kind) for index, kind in enumerate(kinds))
    dataset = DatasetConfig(
        timestamp="timestamp",
        label="label",
        label_kind="kind",
        features=features,
        targets=("f0",),
        interval_s=60.0,
    )
    values = rng.normal(size=(rows, 65)).astype(np.float32)
    columns = {f"f{index}": pa.array(values[:, index], mask=rng.random(rows) < 0.1) for index in range(65)}
    label = (rng.random(rows) < 0.05).astype(np.int64)
    columns |= {
        "f7": pa.nulls(rows, pa.float32()),
        "f65": pa.array((values[:, 0] > 0).astype(np.int64)),
        "f66": pa.array([None if value < -2 else f"é {int(3 * value)}" for value in values[:, 1]]),
        "label": pa.array(label),
        "kind": pa.array(["spike" if each else None for each in label]),
        "timestamp": pa.array(np.arange(rows) * 60_000_000, pa.timestamp("us")),
    }
    return pa.table(columns), dataset


def _analysis(args: tuple[str, ...] | None, folder: Path) -> dict[str, Any]:
    """What the trainer's analysers find on an engine; None is this process, without one."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

    from components.synthesizer_trainer.beam_analysis import Engine
    from components.synthesizer_trainer.executor import Executor
    from components.synthesizer_trainer.transform import analyse

    engine = None
    if args is not None:
        context = BaseBeamExecutor.Context(beam_pipeline_args=[*args], tmp_dir=str(folder), unique_id="1")
        executor = Executor(context)
        engine = Engine(tuple(executor._beam_pipeline_args), executor._make_beam_pipeline, folder)
    found = analyse(*_table(), 50, "locale=eu-west split=train", engine)
    assert len(found.vocabularies["f66"]) > 10 and not found.quantiles["f7"].size
    edges = {name: values.tobytes() for name, values in found.quantiles.items()}
    return {"edges": edges, "rest": (found.ranges, found.vocabularies, found.kinds)}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _analysis(None, tmp_path_factory.mktemp("analysed"))


@pytest.mark.parametrize("name", DIRECT)
def test_the_trainers_analysis_is_the_same_on_each_engine(
    name: str, analysed: dict[str, Any], tmp_path: Path
) -> None:
    assert _analysis(DIRECT[name], tmp_path) == analysed
    assert not list(tmp_path.iterdir())  # no row is left behind


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def worker_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts Beam's worker pool as it runs beside a Flink TaskManager: workers in processes of their own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(hidden: Path, **environment: str) -> str:
        port, home = _free_port(), tmp_path_factory.mktemp("pool")
        command = [
            sys.executable,
            "-m",
            "apache_beam.runners.worker.worker_pool_main",
            f"--service_port={port}",
        ]
        # What the driver has on its disk is covered up: an empty file system lies over it.
        script = 'mount -t tmpfs none "$0" && exec "$@"'
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, str(hidden), *command],
            cwd=home,
            env={**os.environ, "PATH": path, **environment},
            start_new_session=True,
        )
        started.append(process)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"localhost:{port}"
            if process.poll() is not None:
                break
            time.sleep(0.1)
        pytest.fail(f"the worker pool did not start: exit status {process.poll()}")

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.mark.parametrize("name", [name for name in DIRECT if name != "in_memory"])
def test_engines_with_workers_on_this_machine_make_the_same_bytes(
    name: str, inputs: dict[str, list[Any]], reference: str, tmp_path: Path
) -> None:
    assert _digest(inputs, tmp_path / "out", DIRECT[name]) == reference
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A bucket `tmp-eu` on a server on this machine; the environment that reaches it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem(endpoint_url=environment["AWS_ENDPOINT_URL"]).makedirs("tmp-eu", exist_ok=True)
    yield environment
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.skipif(not _can_cover(), reason="covering the driver's files needs root, and leave to mount")
def test_workers_that_see_no_file_of_the_driver_meet_it_in_a_bucket(
    inputs: dict[str, list[Any]],
    reference: str,
    analysed: dict[str, Any],
    tmp_path: Path,
    worker_pool: Any,
    bucket: dict[str, str],
) -> None:
    import s3fs

    base = Path(inputs["model"][0].uri).parents[3]
    assert base in tmp_path.parents  # one cover hides the model and the output
    external = (
        *PORTABLE,
        "--environment_type=EXTERNAL",
        f"--environment_config={worker_pool(base, **bucket)}",
    )
    args = (*external, "--temp_location=s3://tmp-eu/beam")
    assert _digest(inputs, tmp_path / "out", args) == reference
    assert _analysis(args, tmp_path) == analysed
    s3fs.S3FileSystem.clear_instance_cache()
    assert s3fs.S3FileSystem(endpoint_url=bucket["AWS_ENDPOINT_URL"]).find("tmp-eu") == []
    with pytest.raises(ConfigError, match=r"locale=eu-west span=2: beam: .* temp_location is missing"):
        _digest(inputs, tmp_path / "without", external)
    with pytest.raises(ConfigError, match=r"locale=eu-west split=train: beam: .* temp_location is missing"):
        _analysis(external, tmp_path)


@pytest.mark.parametrize("name", ["in_memory", "multi_threading", "portable loopback"])
def test_a_workers_failure_is_one_line(
    name: str, inputs: dict[str, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.synthetic_gen import beam_sampling

    put = beam_sampling.put
    missing = "plan-00001.npz"
    monkeypatch.setattr(
        beam_sampling, "put", lambda store, file, data: file == missing or put(store, file, data)
    )
    with pytest.raises(DataError) as caught:
        _digest(inputs, tmp_path / "out", DIRECT[name])
    line = r"cannot read \S+/plan-00001\.npz: no such file or directory\. [^\n\[]*, then run again\."
    assert re.fullmatch(line, str(caught.value))


def test_a_bucket_that_is_not_there_is_not_made(
    inputs: dict[str, list[Any]], tmp_path: Path, bucket: dict[str, str]
) -> None:
    import s3fs

    args = (*DIRECT["in_memory"], "--temp_location=s3://mistyped/beam")
    with pytest.raises(DataError, match=r"cannot write s3://mistyped/beam/isthmus-\w+/model\.zip: "):
        _digest(inputs, tmp_path / "out", args)
    s3fs.S3FileSystem.clear_instance_cache()
    assert not s3fs.S3FileSystem(endpoint_url=bucket["AWS_ENDPOINT_URL"]).exists("mistyped")


def _sample_shards_in(pipeline: bytes) -> list[Any]:
    """The steps of ours in a pipeline's JSON, unpickled."""
    from apache_beam.internal import pickler
    from apache_beam.portability.api import beam_runner_api_pb2
    from google.protobuf import json_format

    from components.synthetic_gen.beam_sampling import SampleShard

    found = []
    for transform in json_format.Parse(
        pipeline, beam_runner_api_pb2.Pipeline()
    ).components.transforms.values():
        if transform.spec.urn == "beam:transform:pardo:v1":
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            step = pickler.loads(payload.do_fn.payload)[0]
            found += [step] if type(step).__name__ == SampleShard.__name__ else []
    return found


@pytest.mark.skipif(not _can_cover(), reason="covering the driver's files needs root, and leave to mount")
def test_the_flink_profile_sends_a_jar_without_rows_or_model_and_needs_no_java(
    inputs: dict[str, list[Any]],
    reference: str,
    tmp_path: Path,
    worker_pool: Any,
    bucket: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.config.beam import WholeBeamSection

    base = Path(inputs["model"][0].uri).parents[3]
    job_server = tmp_path / "job-server.jar"
    with zipfile.ZipFile(job_server, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    flink = FlinkRest()
    section = WholeBeamSection(
        profile="flink",
        flink_master=flink.address,
        submit_uber_jar=True,
        job_server_jar=str(job_server),
        environment_type="EXTERNAL",
        environment_config=worker_pool(base, **bucket),
        sdk_container_image="isthmus:1",
        temp_location="s3://tmp-eu/beam",
        parallelism=2,
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        assert _digest(inputs, tmp_path / "out", section.pipeline_args()) == reference
    finally:
        flink.close()
    (jar,) = flink.jars
    with zipfile.ZipFile(io.BytesIO(jar)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
        options = json.loads(held["BEAM-PIPELINE/pipeline/pipeline-options.json"])
    assert options["beam:option:parallelism:v1"] == "2"
    # What Flink keeps of a pipeline: some numbers, an address, a digest, the names of the columns.
    assert sum(map(len, held.values())) < 100_000
    assert not any(b"secret" in data for data in held.values())
    (step,) = _sample_shards_in(held["BEAM-PIPELINE/pipeline/pipeline.json"])
    assert {name: type(value).__name__ for name, value in vars(step).items() if value is not None} == {
        "_type_hints": "IOTypeHints",
        "_uri": "str",
        "_digest": "str",
        "_dataset_json": "str",
        "_seed": "int",
    }
    assert "DELETE /v1/jars/abc_beam.jar" in flink.calls
