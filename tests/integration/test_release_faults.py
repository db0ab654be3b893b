"""Faults while publishing and merging: killed anywhere, disk full, not writable, two at once.

The publisher runs in a process of its own in which every file-system step (open for writing, write of
a chunk, fsync, mkdir, rename, unlink) is counted; at step N the process kills itself with SIGKILL.
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
from components.release.keys import ensure_key_pair, load_public_key
from components.release.storage import open_store
from components.release.verify import verify_release
from components.secrets import SecretRef
from components.split_io import read_records, write_split

REPOSITORY = Path(__file__).resolve().parents[2]
DATASET = DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60)

#: Kills this process at the N-th step below the watched folder; forks, so that imports are paid once.
HARNESS = """
import json, os, signal, sys
from pathlib import Path

watched, job = sys.argv[1], json.loads(sys.argv[2])
state = {"steps": 0, "kill_at": 0}

def step(path):
    if not str(path).startswith(watched):
        return
    state["steps"] += 1
    if state["steps"] == state["kill_at"]:
        os.kill(os.getpid(), signal.SIGKILL)

def audit(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, (str, bytes, os.PathLike)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            step(os.fsdecode(path))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod"):
        if isinstance(arguments[0], (str, os.PathLike)):
            step(arguments[0])

def watch():
    real = os.fsync
    def fsync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        step(path)  # before the data are safe
        real(handle)
        step(path)  # and after
    os.fsync = fsync
    sys.addaudithook(audit)

SETUP

results = []
kill_at = 0
while True:
    kill_at += 1
    RESET
    child = os.fork()
    if child == 0:
        state["kill_at"] = kill_at
        watch()
        run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and status:
        sys.exit(f"child ended with status {status} at step {kill_at}")
    AFTER
    if not killed:
        print(json.dumps({"points": kill_at - 1}))
        break
"""


def kill_everywhere(watched: Path, job: dict, setup: str, reset: str, after: str) -> int:
    """Runs the harness; returns how many kill points it went through."""
    source = HARNESS
    for name, code in (("SETUP", setup), ("RESET", reset), ("AFTER", after)):
        indent = "" if name == "SETUP" else "    "
        source = source.replace(f"{indent}{name}\n", textwrap.indent(textwrap.dedent(code), indent) + "\n", 1)
    done = subprocess.run(
        [sys.executable, "-c", source, str(watched), json.dumps(job)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
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


def test_killed_at_every_step_of_publishing_nothing_is_half_visible_and_a_rerun_completes(tmp_path):
    config, inputs = prepare(tmp_path, str(tmp_path / "exchange"))
    push_region(config.model_copy(update={"exchange_uri": str(tmp_path / "first")}), "eu-west", 1, inputs)
    job = {
        "config": config.to_exec_property(),
        "examples": str(inputs.examples),
        "pub": f"{tmp_path}/eu-west.key.pub",
    }
    points = kill_everywhere(
        tmp_path / "exchange",
        job,
        """
        import shutil
        from components.pusher.config import PusherConfig
        from components.pusher.core import RegionInputs, push_region
        from components.release import atomic, storage
        from components.release.exchange import list_releases
        from components.release.keys import load_public_key
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
        if not visible and killed:  # the rerun also removed what the killed one left
            names = os.listdir(store.path("eu-west", "span-1"))
            assert names == [left[0].name], names
        """,
    )
    assert points >= 15  # 2 splits, manifest, folders: each opened, synced, renamed


def test_killed_at_every_step_of_pushing_a_model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "detector.json").write_text("{}")
    (tmp_path / "blessing").mkdir()
    (tmp_path / "blessing" / "BLESSED").touch()
    points = kill_everywhere(
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
    )
    assert points >= 10


def test_killed_at_every_step_of_merging(tmp_path):
    exchange = str(tmp_path / "exchange")
    for locale in ("eu-west", "us-east"):
        config, inputs = prepare(tmp_path, exchange, locale)
        push_region(config, locale, 1, inputs)
    settings = merge_config(tmp_path, exchange, ("eu-west", "us-east"))
    points = kill_everywhere(
        tmp_path / "merged",
        {"config": settings.to_exec_property()},
        """
        import shutil
        from components.merge_gen.config import MergeGenConfig
        from components.merge_gen.core import merge_releases
        from components.merge_gen.resolution import resolve_releases
        from components.split_io import list_splits, read_records

        config = MergeGenConfig.from_exec_property(job["config"])
        resolution = resolve_releases(config)

        def run():
            return merge_releases(config, resolution, Path(watched))
        """,
        "shutil.rmtree(watched, ignore_errors=True)",
        """
        for split in (list_splits(watched) if os.path.exists(watched) else []):  # visible means whole
            assert sum(map(len, read_records(watched, split))) == 60, split
        assert run().verdict == "merged"
        assert sorted(os.listdir(watched)) == ["Split-eu-west", "Split-us-east"]
        """,
    )
    assert points >= 10


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
    with pytest.raises(OSError, match="No space left"):
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


def test_the_harness_kills(tmp_path):
    """The enumeration above is worth something only if the kills really happen."""
    points = kill_everywhere(
        tmp_path / "w",
        {},
        """
        def run():
            Path(watched).mkdir(exist_ok=True)
            Path(watched, "a").write_text("x")
        """,
        "",
        "assert killed == (kill_at <= 2), kill_at",
    )
    assert points == 2
    assert signal.SIGKILL == 9
    assert list_versions(open_store(str(tmp_path / "w")), "none") == {}
