"""Faults while publishing and merging: killed anywhere, disk full, not writable, two at once.

The work runs in a process of its own in which every file-system step (open for writing, fsync, mkdir,
rename, link, unlink) is counted; at step N the process kills itself with SIGKILL, or the step fails.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import resolve_releases
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.pusher.registry import list_versions
from components.release.exchange import list_releases
from components.release.keys import ensure_key_pair, load_private_key, load_public_key
from components.release.revoke import revoke_release
from components.release.storage import open_store
from components.release.verify import verify_release
from components.secrets import SecretRef
from components.split_io import read_records, write_split

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.e2e  # hundreds of processes: seconds, not milliseconds

FAULTS = ("kill", "ENOSPC", "EIO")
DATASET = DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60)

#: Harms this process at the N-th step below the watched folder; forks, so that imports are paid once.
#: `kill`: SIGKILL. `ENOSPC`: every step from there on fails, as on a full disk. `EIO`: that one fails.
HARNESS = """
import errno, json, os, signal, sys
from pathlib import Path

watched, job, fault = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
state = {"steps": 0, "at": 0}
REACHED = 10

def step(path, removes=False):
    if not str(path).startswith(watched) or (removes and fault != "kill"):
        return
    state["steps"] += 1
    if fault == "kill" and state["steps"] == state["at"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "EIO" and state["steps"] == state["at"]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    if fault == "ENOSPC" and state["steps"] >= state["at"]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

def audit(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, (str, bytes, os.PathLike)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            step(os.fsdecode(path))
    elif event in ("os.mkdir", "os.rename", "os.link", "os.chmod"):
        if isinstance(arguments[0], (str, os.PathLike)):
            step(arguments[0])
    elif event in ("os.remove", "os.rmdir"):
        if isinstance(arguments[0], (str, os.PathLike)):
            step(arguments[0], removes=True)

def watch():
    real = os.fsync
    def fsync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        step(path)  # before the data are safe
        real(handle)
        if fault == "kill":
            step(path)  # and after
    os.fsync = fsync
    real_open, real_fdopen = Path.open, os.fdopen
    def path_open(self, mode="r", *given, **named):
        file = real_open(self, mode, *given, **named)
        return Written(file, str(self)) if set(mode) & set("wxa+") else file
    def fdopen(handle, mode="r", *given, **named):
        path = os.readlink(f"/proc/self/fd/{handle}")
        file = real_fdopen(handle, mode, *given, **named)
        return Written(file, path) if set(mode) & set("wxa+") else file
    Path.open, os.fdopen = path_open, fdopen
    sys.addaudithook(audit)

class Written:
    \"\"\"A file whose every write is two, so that there is a moment at which half of it is there.\"\"\"
    def __init__(self, file, path):
        self.file, self.path = file, path
    def __getattr__(self, name):
        return getattr(self.file, name)
    def __enter__(self):
        return self
    def __exit__(self, *given):
        self.file.close()
    def write(self, data):
        half = len(data) // 2
        self.file.write(data[:half])
        self.file.flush()
        step(self.path)
        self.file.write(data[half:])
        return len(data)

SETUP

from components.errors import DataError

points = 0
while True:
    points += 1
    RESET
    child = os.fork()
    if child == 0:
        state["at"] = points
        watch()
        try:
            run()
        except DataError as error:
            message = str(error)
            if fault == "kill" or "\\n" in message or "run again" not in message:
                print(message, file=sys.stderr, flush=True)
                os._exit(3)
        os._exit(REACHED if state["steps"] >= points else 0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    reached = killed or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == REACHED)
    if not reached and status:
        sys.exit(f"child ended with status {status} at step {points}")
    AFTER
    if not reached:
        print(json.dumps({"points": points - 1}))
        break
"""


def harm_everywhere(watched: Path, job: dict, setup: str, reset: str, after: str, fault: str = "kill") -> int:
    """Runs the harness; returns how many points of harm it went through."""
    source = HARNESS
    for name, code in (("SETUP", setup), ("RESET", reset), ("AFTER", after)):
        indent = "" if name == "SETUP" else "    "
        source = source.replace(f"{indent}{name}\n", textwrap.indent(textwrap.dedent(code), indent) + "\n", 1)
    done = subprocess.run(
        [sys.executable, "-c", source, str(watched), json.dumps(job), fault],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return int(json.loads(done.stdout.splitlines()[-1])["points"])


def table(rows: int = 30) -> pa.Table:
    return pa.table(
        {"timestamp": list(range(rows)), "x": pa.array([float(i % 7) for i in range(rows)], pa.float32())}
    )


def prepare(root: Path, exchange: str, locale: str = "eu-west") -> tuple[PusherConfig, RegionInputs]:
    for split in ("train", "eval"):
        write_split(root / locale / "examples", split, table())
    ensure_key_pair(root / f"{locale}.key")
    config = PusherConfig(
        kind="open",
        exchange_uri=exchange,
        signing_key=SecretRef(file=str(root / f"{locale}.key")),
    )
    return config, RegionInputs(root / locale / "examples")


@pytest.mark.parametrize("fault", FAULTS)
def test_harmed_at_every_step_of_publishing_nothing_is_half_visible_and_a_rerun_completes(tmp_path, fault):
    config, inputs = prepare(tmp_path, str(tmp_path / "exchange"))
    push_region(config.model_copy(update={"exchange_uri": str(tmp_path / "first")}), "eu-west", 1, inputs)
    job = {
        "config": config.to_exec_property(),
        "examples": str(inputs.examples),
        "pub": f"{tmp_path}/eu-west.key.pub",
    }
    points = harm_everywhere(
        tmp_path / "exchange",
        job,
        """
        import shutil
        from components.pusher.config import PusherConfig
        from components.pusher.core import RegionInputs, push_region
        from components.release import atomic, storage
        from components.release.exchange import list_releases
        from components.release.keys import load_private_key, load_public_key
        from components.release.verify import verify_release

        atomic.STAGING_GRACE_S = 0.0
        config = PusherConfig.from_exec_property(job["config"])
        store = storage.open_store(config.exchange_uri)
        keys = {"eu-west": [load_public_key(job["pub"])]}

        def run():
            push_region(config, "eu-west", 1, RegionInputs(Path(job["examples"])))
        """,
        "shutil.rmtree(watched, ignore_errors=True)",
        """
        visible = list_releases(store, "eu-west")
        for location in visible:  # visible means whole
            verify_release(store, location.folder, keys, location=location)
        run()
        left = list_releases(store, "eu-west")
        assert len(left) == 1, left
        verify_release(store, left[0].folder, keys, location=left[0])
        if not visible and reached:  # the rerun also removed what the killed one left
            names = os.listdir(store.path("eu-west", "span-1"))
            assert names == [left[0].name], names
        """,
        fault,
    )
    assert points >= 15  # 2 splits, manifest, folders: each opened, synced, renamed


@pytest.mark.parametrize("fault", ["kill", "ENOSPC"])
def test_harmed_at_every_step_of_pushing_a_model(tmp_path, fault):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "detector.json").write_text("{}")
    (tmp_path / "blessing").mkdir()
    (tmp_path / "blessing" / "BLESSED").touch()
    points = harm_everywhere(
        tmp_path / "registry",
        {"model": str(tmp_path / "model"), "blessing": str(tmp_path / "blessing")},
        """
        import shutil
        from components.pusher.config import ModelPusherConfig
        from components.pusher.registry import ModelInputs, list_versions, push_model
        from components.release import atomic, storage

        atomic.STAGING_GRACE_S = 0.0
        config = ModelPusherConfig(registry_uri=watched)

        def run():
            return push_model(config, ModelInputs(Path(job["model"]), Path(job["blessing"])))
        """,
        "shutil.rmtree(watched, ignore_errors=True)",
        """
        report = run()
        assert report["version"] == 1, report
        assert list(list_versions(storage.open_store(watched), "detector")) == [1]
        """,
        fault,
    )
    assert points >= 8


@pytest.mark.parametrize("fault", ["kill", "ENOSPC"])
def test_harmed_at_every_step_of_merging(tmp_path, fault):
    """Of the centre's output and of what it remembers of the exchange."""
    exchange = str(tmp_path / "exchange")
    for locale in ("eu-west", "us-east"):
        config, inputs = prepare(tmp_path, exchange, locale)
        push_region(config, locale, 1, inputs)
    settings = merge_config(tmp_path, exchange, ("eu-west", "us-east"))
    settings = settings.model_copy(update={"memory_uri": str(tmp_path / "centre")})
    points = harm_everywhere(
        tmp_path / "centre",
        {"config": settings.to_exec_property()},
        """
        import shutil
        from components.merge_gen.config import MergeGenConfig
        from components.merge_gen.core import merge_releases
        from components.merge_gen.resolution import open_memory, resolve_releases
        from components.release.memory import load_memory
        from components.split_io import list_splits, read_records

        config = MergeGenConfig.from_exec_property(job["config"])
        resolution = resolve_releases(config)
        output = Path(watched) / "merged"

        def run():
            return merge_releases(config, resolution, output)
        """,
        "shutil.rmtree(watched, ignore_errors=True)",
        """
        for split in (list_splits(output) if output.exists() else []):  # visible means whole
            assert sum(map(len, read_records(output, split))) == 60, split
        load_memory(open_memory(config))  # whole, or not there
        assert run().verdict == "merged"
        assert sorted(os.listdir(output)) == ["Split-eu-west", "Split-us-east"]
        assert sorted(load_memory(open_memory(config)).newest) == ["eu-west", "us-east"]
        """,
        fault,
    )
    assert points >= 12


def test_killed_at_every_step_of_the_executors(tmp_path):
    """As TFX runs them: the Pusher with its `push.json`, then MergeGen with its `merge.json`."""
    config, inputs = prepare(tmp_path, str(tmp_path / "watched" / "exchange"))
    settings = merge_config(tmp_path, config.exchange_uri, ("eu-west",))
    settings = settings.model_copy(update={"memory_uri": str(tmp_path / "watched" / "centre")})
    points = harm_everywhere(
        tmp_path / "watched",
        {
            "pusher": config.to_exec_property(),
            "merge": settings.to_exec_property(),
            "examples": str(inputs.examples),
        },
        """
        import shutil
        from components.artifacts import MergeReport, PushedRelease
        from components.merge_gen.executor import Executor as MergeExecutor
        from components.pusher.executor import Executor as PushExecutor
        from components.release import atomic
        from components.tfx_shim import standard_artifacts

        atomic.STAGING_GRACE_S = 0.0

        def artifact(kind, uri):
            made = kind()
            made.uri = uri
            return made

        def run():
            push = {"config": job["pusher"], "locale": "eu-west", "span": 1}
            examples = artifact(standard_artifacts.Examples, job["examples"])
            pushed = artifact(PushedRelease, watched + "/pushed")
            PushExecutor().Do({"examples": [examples]}, {"pushed": [pushed]}, push)
            outputs = {
                "examples": [artifact(standard_artifacts.Examples, watched + "/merged")],
                "merge_report": [artifact(MergeReport, watched + "/report")],
            }
            MergeExecutor().Do({}, outputs, {"config": job["merge"]})
        """,
        "shutil.rmtree(watched, ignore_errors=True)",
        """
        for file in ("pushed/push.json", "report/merge.json"):  # visible means whole
            if os.path.exists(f"{watched}/{file}"):
                json.loads(Path(watched, file).read_text())
        run()
        assert json.loads(Path(watched, "pushed/push.json").read_text())["pushed"]
        merged = json.loads(Path(watched, "report/merge.json").read_text())
        assert [item["rows"] for item in merged["accepted"]] == [60], merged
        assert len(os.listdir(f"{watched}/exchange/eu-west/span-1")) == 1
        """,
    )
    assert points >= 30


def test_the_harness_does_what_it_says(tmp_path):
    """The enumerations above are worth something only if the harm really happens."""
    setup = """
    def run():
        try:
            Path(watched).mkdir(exist_ok=True)
            Path(watched, "a").write_text("x")
            Path(watched, "b").write_text("x")
        except OSError as error:
            raise DataError(f"{error.strerror}; run again")
    """
    reset = "import shutil; shutil.rmtree(watched, ignore_errors=True)"
    left = 'assert len(list(Path(watched).glob("*"))) == EXPECTED, points'
    # mkdir, open a, half of a, open b, half of b; the last round is harmed nowhere.
    for fault in ("kill", "EIO"):
        after = left.replace("EXPECTED", "[0, 0, 1, 1, 2, 2][points - 1]")
        assert harm_everywhere(tmp_path / fault, {}, setup, reset, after, fault) == 5
    assert signal.SIGKILL == 9
    assert list_versions(open_store(str(tmp_path / "w")), "none") == {}


def merge_config(root: Path, exchange: str, names: tuple[str, ...], quorum: int = 1) -> MergeGenConfig:
    locales = tuple(
        MergeLocale(name=name, sharing="open", trusted_key=str(root / f"{name}.key.pub")) for name in names
    )
    return MergeGenConfig(dataset=DATASET, exchange_uri=exchange, locales=locales, quorum=quorum)


def test_publishers_in_processes_at_once_leave_one_release(tmp_path):
    config, inputs = prepare(tmp_path, str(tmp_path / "exchange"))
    code = """
import json, sys
from pathlib import Path
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
config = PusherConfig.from_exec_property(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(push_region(config, "eu-west", 1, RegionInputs(Path(sys.argv[2])))))
"""
    command = [sys.executable, "-c", code, config.to_exec_property(), str(inputs.examples)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, cwd=REPOSITORY, **pipes) for _ in range(3)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len({report["release_id"] for report in reports}) == 1
    store = open_store(str(tmp_path / "exchange"))
    (only,) = list_releases(store, "eu-west")
    key = load_public_key(str(tmp_path / "eu-west.key.pub"))
    verify_release(store, only.folder, {"eu-west": [key]}, location=only)
    assert os.listdir(store.path("eu-west", "span-1")) == [only.name]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 kB; remounted read-only by the test that wants that."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(tmp_path, tiny_disk):
    config, inputs = prepare(tmp_path, str(tiny_disk / "exchange"))
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(60 * 1024))
    with pytest.raises(
        DataError, match=r"no space left on device\. Free space there, then run again"
    ) as caught:
        push_region(config, "eu-west", 1, inputs)
    assert "\n" not in str(caught.value)
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == [filler]
    filler.unlink()
    assert push_region(config, "eu-west", 1, inputs)["outcome"] == "published"


def test_a_disk_that_fills_while_merging(tmp_path, tiny_disk):
    exchange = str(tmp_path / "exchange")
    config, inputs = prepare(tmp_path, exchange)
    push_region(config, "eu-west", 1, inputs)
    settings = merge_config(tmp_path, exchange, ("eu-west",))
    resolution = resolve_releases(settings)
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(64 * 1024))
    with pytest.raises(DataError, match="merge: no space left on device"):
        merge_releases(settings, resolution, tiny_disk / "merged")
    filler.unlink()
    assert merge_releases(settings, resolution, tiny_disk / "merged").verdict == "merged"
    assert sum(map(len, read_records(tiny_disk / "merged", "eu-west"))) == 60


def test_an_exchange_that_is_not_writable(tmp_path, tiny_disk):
    config, inputs = prepare(tmp_path, str(tiny_disk / "exchange"))
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(DataError, match=r"read-only file system\. Make it reachable and writable") as caught:
        push_region(config, "eu-west", 1, inputs)
    assert "\n" not in str(caught.value)
    assert list(tiny_disk.iterdir()) == []


def test_a_read_only_exchange_is_merged_from_and_not_written_to(tmp_path, tiny_disk):
    exchange = str(tiny_disk / "exchange")
    config, inputs = prepare(tmp_path, exchange)
    uri = push_region(config, "eu-west", 1, inputs)["uri"]
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    settings = merge_config(tmp_path, exchange, ("eu-west",))
    settings = settings.model_copy(update={"memory_uri": str(tmp_path / "centre")})
    result = merge_releases(settings, resolve_releases(settings), tmp_path / "merged")
    assert [item.rows for item in result.accepted] == [60]
    assert push_region(config, "eu-west", 1, inputs)["outcome"] == "already published"
    key = load_private_key(SecretRef(file=str(tmp_path / "eu-west.key")))
    with pytest.raises(DataError, match="read-only file system") as caught:
        revoke_release(open_store(uri), key, "leak")
    assert "\n" not in str(caught.value)
