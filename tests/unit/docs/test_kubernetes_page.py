"""The page on Kubernetes names commands, options, files and keys that there are; its deployment is valid."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from pipeline import starter
from pipeline.cli import app
from pipeline.config.kubeflow import KubeflowSection, RetrySection
from pipeline.config.load import load_deployment
from pipeline.config.placement import PlacementSection

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
BLOCK = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.S))
CALLS = [
    line.removeprefix("$ ").removeprefix("> ").strip()
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.S)
    for line in block.replace("\\\n>", "").splitlines()
    if line.startswith(("$", ">"))
]


def write(folder: Path) -> Path:
    """The starter's deployment with the page's sections, the locale's for all three."""
    from components.release import keys

    config = starter.write(folder, size="small")
    data, told = yaml.safe_load(config.read_text()), yaml.safe_load(BLOCK[0])
    for key in set(told) - {"locales"}:
        data[key] = {**data.get(key, {}), **told[key]}
    for locale in data["locales"]:
        keys.ensure_key_pair(folder / "keys" / f"{locale['name']}.pem")
        (own,) = yaml.safe_load(BLOCK[0].replace("eu-west", locale["name"]))["locales"]
        locale.update(own)
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


def test_every_command_and_option_exists() -> None:
    root = typer.main.get_command(app)
    calls = [x[x.index("isthmus ") :] for x in [*CALLS, *CODE] if re.search(r"(^|do )isthmus \w", x)]
    calls += re.findall(r"(?:do +|^ *)(isthmus submit [^\n;]+)", "\n".join(CALLS), re.M)
    assert len(calls) >= 9
    for call in calls:
        words = shlex.split(call.split(";")[0].split(" #")[0])
        command = root.commands[words[1]]
        while words[2:] and hasattr(command, "commands"):
            words.pop(1)
            command = command.commands[words[1]]
        known = {name for item in command.params for name in item.opts}
        given = {word for word in words[2:] if word.startswith("-")}
        assert given <= known, (call, given - known)


def test_every_file_that_is_named_exists() -> None:
    named = {x for x in CODE if re.match(r"(kubeflow|tests|docs)/[\w./-]+$", x)}
    named |= {x for call in CALLS for x in re.findall(r"(?:^|[ /=])(kubeflow/[\w./-]*[\w-])", call)}
    assert len(named) >= 8
    for path in named:
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / path).exists(), path
    assert all(
        (ROOT / "kubeflow" / "overlays" / x).is_dir() for x in ("us-east", "eu-west", "ap-south", "central")
    )


def test_its_deployment_is_valid(tmp_path: Path) -> None:
    deployment = load_deployment(write(tmp_path / "fleet"))
    assert deployment.kubeflow.layout == "multi-cluster" and deployment.kubeflow.residency == "strict"
    assert {x.placement.namespace for x in deployment.locales} == {
        f"isthmus-{x.name}" for x in deployment.locales
    }
    for key in re.findall(r"`kubeflow\.(\w+)`", PAGE):
        assert key in KubeflowSection.model_fields, key
    for text in (x for x in CODE if x.startswith(("kubeflow: {", "steps: {"))):
        (section,) = yaml.safe_load(text).items()
        (KubeflowSection if section[0] == "kubeflow" else PlacementSection).model_validate(
            section[1] if section[0] == "kubeflow" else dict([section])
        )


@pytest.mark.parametrize(
    "header, model", [("| `kubeflow:` | |", KubeflowSection), ("| `placement:` | |", PlacementSection)]
)
def test_the_tables_have_every_option_and_no_other(header: str, model: type) -> None:
    rows = PAGE.split(header)[1].split("\n\n")[0].splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(model.model_fields)
    if model is KubeflowSection:
        for name, field in RetrySection.model_fields.items():
            assert f"`{name}` {field.default}" in PAGE
        assert f"({KubeflowSection().step_timeout_s:,})" in PAGE


def test_what_is_said_of_the_fleet_is_what_is_rendered() -> None:
    (account,) = set(re.findall(r"--service-account (\S+)", PAGE))
    manifest = (ROOT / "kubeflow" / "base" / "service-accounts.yaml").read_text()
    assert f"name: {account}" in manifest and "name: isthmus-submit" in manifest
    policy = (ROOT / "kubeflow" / "exchange" / "s3-bucket-policy.json").read_text()
    address = yaml.safe_load(BLOCK[0])["exchange"]["uri"].removeprefix("s3://")
    assert f"arn:aws:s3:::{address}/eu-west/*" in policy


@pytest.mark.slow
def test_its_deployment_compiles_to_what_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "compile", str(write(tmp_path / "fleet")), "-o", "specs"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    printed = re.findall(r"^(specs/\S+: pipeline \S+, \d+ steps), \d+ KiB$", PAGE, re.M)
    assert printed and all(line in done.stdout for line in printed), done.stdout
    assert sorted(x.name for x in (tmp_path / "specs").iterdir()) == [
        f"fleet-{zone}.yaml" for zone in ("ap-south", "central", "eu-west", "us-east")
    ]
