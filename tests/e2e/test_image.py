"""The Dockerfile without an engine: its COPY and RUN lines carried out in a scratch folder.

Every stage shares one folder, since all of them use the same paths; absolute paths below /opt, /src and
/usr/share are moved there. What is not part of the last stage is deleted before the result is looked at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.kubeflow.dockerfile import Instruction, read_dockerfile

pytestmark = [pytest.mark.e2e, pytest.mark.kubeflow]

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "kubeflow" / "Dockerfile"
MOVED = re.compile(r"(?<![\w.-])/(opt|src|usr/share)\b")


class Build:
    """Carries out instructions below a scratch folder."""

    def __init__(self, scratch: Path):
        self.root = scratch / "root"
        self.base = scratch / "base"
        self.folder = self.root
        self.variables: dict[str, str] = {}
        self.kept: list[Path] = []
        self.root.mkdir()
        subprocess.run([sys.executable, "-m", "venv", str(self.base)], check=True)

    def path(self, text: str) -> Path:
        return self.root / text.lstrip("/") if text.startswith("/") else self.folder / text

    def run(self, command: str, timeout_s: int = 900) -> None:
        command = re.sub(r"--mount=\S+", "", command)
        script = MOVED.sub(lambda found: f"{self.root}/{found.group(1)}", command)
        script = script.replace("/usr/local/bin/python3.10", f"{sys.base_prefix}/bin/python3.10")
        environment = {**os.environ, **self.variables, "PATH": f"{self.base}/bin:{os.environ['PATH']}"}
        environment.pop("VIRTUAL_ENV", None)
        done = subprocess.run(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env={**environment, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "UV_LINK_MODE": "hardlink"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"

    def copy(self, instruction: Instruction, last_stage: bool) -> None:
        *sources, target = [x for x in instruction.words if not x.startswith("--")]
        if any(x.startswith("--from=") for x in instruction.words):
            assert sources[0] != target or self.path(sources[0]).exists(), instruction
            if sources[0] != target:
                self.path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.path(sources[0]), self.path(target))
            if last_stage:
                self.kept.append(self.path(target))
            return
        for source in sources:
            into = self.path(target) / Path(source).name if target.endswith("./") else self.path(target)
            into.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, into)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Iterator[Build]:
    """The last stage's files, and nothing else."""
    build = Build(tmp_path_factory.mktemp("image"))
    stages = read_dockerfile(DOCKERFILE)
    for stage in stages:
        if stage.base == "scratch":
            continue
        for instruction in stage.instructions:
            if instruction.name in ("ARG", "ENV"):
                for name, value in instruction.settings().items():
                    build.variables.setdefault(name, MOVED.sub(lambda x: f"{build.root}/{x.group(1)}", value))
            elif instruction.name == "WORKDIR":
                build.folder = build.path(instruction.words[0])
                build.folder.mkdir(parents=True, exist_ok=True)
            elif instruction.name == "COPY":
                build.copy(instruction, stage is stages[-1])
            elif instruction.name == "RUN":
                build.run(instruction.text)
    for left in (build.root / "src", build.root / "opt" / "sbom-tool"):
        shutil.rmtree(left)
    folders = [x for x in build.root.rglob("*") if x.is_dir() and not x.is_symlink()]
    for folder in folders:
        folder.chmod(0o555)
    yield build
    for folder in folders:  # or pytest could not tidy up
        folder.chmod(0o755)


def start(build: Build, *command: str, tmp: Path) -> subprocess.CompletedProcess:
    """Runs something with the image's environment and without privileges; only `tmp` is writable."""
    moved = {
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "XDG_CACHE_HOME": f"{tmp}/.cache",
        "MPLCONFIGDIR": f"{tmp}/.mpl",
    }
    settings = read_dockerfile(DOCKERFILE)[-1].environment()
    path = MOVED.sub(lambda found: f"{build.root}/{found.group(1)}", settings["PATH"])
    # Root without capabilities is bound by permissions like anybody.
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*unprivileged, *command],
        cwd=tmp,
        env={**settings, **moved, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_image_s_files_hold_our_wheel_and_the_locked_environment(built):
    assert {x.name for x in (built.root / "opt").iterdir()} == {"isthmus", "isthmus-app"}
    application = built.root / "opt" / "isthmus-app"
    assert {x.name for x in application.iterdir()} == {
        *("bin", "components", "pipeline", "schemas"),
        *(x.name for x in application.glob("isthmus-*.dist-info")),
    }
    assert (application / "pipeline" / "__pycache__").is_dir()
    packages = built.root / "opt/isthmus/lib/python3.10/site-packages"
    assert not (packages / "pytest").exists() and not (packages / "tensorflow" / "include").exists()
    assert len(list(packages.glob("numpy/__pycache__/*.pyc"))) > 5
    assert sum(x.stat().st_size for x in application.rglob("*") if x.is_file()) < 8 << 20


def test_it_runs_with_nothing_writable_but_tmp(built, tmp_path):
    refused = start(built, "touch", str(built.root / "opt" / "isthmus" / "x"), tmp=tmp_path)
    assert refused.returncode == 1 and "denied" in refused.stderr
    done = start(built, "isthmus", "--help", tmp=tmp_path)
    assert done.returncode == 0 and "validate" in done.stdout, done.stderr
    imports = "import tensorflow, prophet, matplotlib.pyplot, pipeline.cli, pipeline.entrypoint.step"
    done = start(built, "python", "-c", f"{imports}; print(pipeline.__path__)", tmp=tmp_path)
    assert done.returncode == 0 and "isthmus-app/pipeline" in done.stdout, done.stderr


def test_the_bill_of_materials_names_what_is_installed(built):
    bill = json.loads((built.root / "usr/share/sbom/isthmus.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {x["name"].lower().replace("_", "-"): x["version"] for x in bill["components"]}
    assert listed["tensorflow"] == "2.16.2" and listed["isthmus"] == "0.1.0"
    assert "pytest" not in listed and "cyclonedx-bom" not in listed
    packages = built.root / "opt/isthmus/lib/python3.10/site-packages"
    installed = {x.name.split("-")[0].lower().replace("_", "-") for x in packages.glob("*.dist-info")}
    assert installed <= {*listed, "pip"}
    assert str(built.root) not in json.dumps(bill)
