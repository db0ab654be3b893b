"""The Dockerfile as text: what it pins, who it runs as, what it copies (e2e/test_image.py carries it out)."""

from __future__ import annotations

import fnmatch
import re
import subprocess

import pytest

from tests.unit.kubeflow.conftest import KUBEFLOW, ROOT, find_tool
from tests.unit.kubeflow.dockerfile import read_dockerfile, read_instructions

pytestmark = pytest.mark.kubeflow

DOCKERFILE = KUBEFLOW / "Dockerfile"
STAGES = read_dockerfile(DOCKERFILE)
IMAGE = STAGES[-1]


def lint(path) -> subprocess.CompletedProcess:
    return subprocess.run([find_tool("hadolint"), str(path)], capture_output=True, text=True, timeout=60)


def sources() -> list[str]:
    """What is copied from the repository."""
    copies = [x for stage in STAGES for x in stage.named("COPY") if "--from" not in x.text]
    return [source for x in copies for source in x.words[:-1]]


def test_the_linter_finds_nothing():
    done = lint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_finds_what_is_wrong(tmp_path):
    text = (
        DOCKERFILE.read_text().replace("USER 10001:10001", "USER root").replace('"uv==${UV_VERSION}"', "uv")
    )
    (tmp_path / "Dockerfile").write_text(text)
    done = lint(tmp_path / "Dockerfile")
    assert done.returncode == 1
    assert "DL3002" in done.stdout and "DL3013" in done.stdout


def test_it_runs_as_a_number_that_is_not_root_and_brings_no_entrypoint():
    assert IMAGE.name == "image"
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", IMAGE.named("USER")[-1].text)
    assert IMAGE.named("ENTRYPOINT") == [] and IMAGE.named("RUN") == []
    user = IMAGE.named("USER")[-1].text.split(":")[0]
    assert f"runAsUser: {user}" in (KUBEFLOW / "recurring" / "cronjob.yaml").read_text()


def test_the_base_is_pinned_and_nothing_is_latest():
    (base,) = [
        x.settings()["PYTHON_IMAGE"] for x in read_instructions(DOCKERFILE) if "PYTHON_IMAGE=" in x.text
    ]
    assert re.fullmatch(r"docker\.io/library/python:3\.10\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)
    names = {stage.name for stage in STAGES}
    assert {stage.base for stage in STAGES} <= names | {"${PYTHON_IMAGE}", "scratch"}
    assert ":latest" not in DOCKERFILE.read_text()


def test_it_installs_what_make_setup_installs():
    (version,) = re.findall(r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert f"ARG UV_VERSION={version}\n" in DOCKERFILE.read_text()
    commands = " ".join(x.text for stage in STAGES for x in stage.named("RUN"))
    assert "uv export --quiet --frozen --no-dev" in commands and commands.count("--require-hashes") == 2
    assert (KUBEFLOW / "tools" / "sbom.txt").read_text().count("--hash=sha256:") > 30
    (ours,) = [stage for stage in STAGES if stage.name == "application"]
    assert "--no-deps" in ours.named("RUN")[0].text


def test_nothing_is_written_outside_tmp():
    found = IMAGE.environment()
    assert {found[x].split("/")[1] for x in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR")} == {"tmp"}
    assert found["PYTHONDONTWRITEBYTECODE"] == "1" and IMAGE.named("WORKDIR")[-1].text == "/tmp"


def test_our_code_is_a_layer_of_its_own_after_the_environment():
    copied = [x.words[-1] for x in IMAGE.named("COPY")]
    assert copied.index("/opt/isthmus") < copied.index("/opt/isthmus-app")
    (environment,) = [stage for stage in STAGES if stage.name == "environment"]
    assert [x.words[:-1] for x in environment.named("COPY")] == [["pyproject.toml", "uv.lock"]]


def test_what_it_copies_exists_and_is_all_that_the_builder_gets():
    lines = [x for x in (ROOT / ".dockerignore").read_text().splitlines() if x and not x.startswith("#")]
    assert lines[0] == "*"
    let_through = [x[1:] for x in lines if x.startswith("!")]
    assert sorted(let_through) == sorted(sources())
    for source in sources():
        assert (ROOT / source).exists(), source
    for private in (".git", ".venv", "shared", "demo", "tests", "isthmus.yaml"):
        assert not any(fnmatch.fnmatch(private, x) for x in let_through)


def test_it_holds_no_secret():
    text = DOCKERFILE.read_text()
    assert not re.search(r"(?i)(password|api[_-]?key|token|access_key)\s*[=:]", text)
    settings = {x for stage in STAGES for y in ("ARG", "ENV") for z in stage.named(y) for x in z.settings()}
    assert not {x for x in settings if re.search(r"KEY|TOKEN|SECRET|PASSWORD|INDEX", x)}
    assert all(x.name != "ADD" for stage in STAGES for x in stage.instructions)


def test_labels_say_what_it_is():
    labels = {key: value for x in IMAGE.named("LABEL") for key, value in x.settings().items()}
    assert {"org.opencontainers.image." + x for x in ("title", "version", "revision", "licenses")} <= set(
        labels
    )
    (bill,) = [x.words[-1] for x in IMAGE.named("COPY") if "cdx.json" in x.text]
    assert labels["dev.isthmus.sbom"] == bill
