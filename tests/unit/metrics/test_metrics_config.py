"""The section `metrics`: what it takes, and what it refuses without showing a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from pipeline.config.load import load_deployment
from pipeline.config.metrics import MetricsSection, PushgatewaySection
from tests.unit.metrics.conftest import deployment_of

URL = "https://push.example:9091"


def load(folder: Path, metrics: Any) -> MetricsSection:
    data = deployment_of(folder).model_dump(mode="json", exclude_defaults=True)
    file = folder / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data | {"metrics": metrics}))
    return load_deployment(file).metrics


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        {
            "textfile_folder": "collector",
            "pushgateway": {
                "url": f"{URL}/gateway/",
                "ca_file": "ca.pem",
                "username": "isthmus",
                "password": {"file": "secrets/push"},
            },
        },
    )
    assert found.textfile_folder == str(tmp_path / "collector")
    assert found.pushgateway is not None and found.pushgateway.password is not None
    assert found.pushgateway.url == f"{URL}/gateway"
    assert found.pushgateway.ca_file == str(tmp_path / "ca.pem")
    assert found.pushgateway.password.file == str(tmp_path / "secrets" / "push")
    token = load(tmp_path, {"pushgateway": {"url": URL, "token": {"file": "token"}}}).pushgateway
    assert token is not None and token.token is not None and token.token.file == str(tmp_path / "token")


def test_without_the_section_nothing_is_sent() -> None:
    section = MetricsSection()
    assert section.textfile_folder is None and section.pushgateway is None


@pytest.mark.parametrize(
    ("pushgateway", "said"),
    [
        ({"url": "push.example:9091"}, "no address of a Pushgateway; allowed: https://HOST"),
        ({"url": "https://isthmus:t0p-secret@push.example"}, "no address of a Pushgateway"),
        ({"url": f"{URL}/?token=t0p-secret"}, "no address of a Pushgateway"),
        ({"url": f"{URL}/#a"}, "no address of a Pushgateway"),
        ({"url": f"{URL}/a\nb"}, "no address of a Pushgateway"),
        ({"url": URL, "username": "isthmus"}, "username and password go together"),
        ({"url": URL, "password": {"env": "A"}}, "username and password go together"),
        (
            {"url": URL, "username": "a", "password": {"env": "A"}, "token": {"env": "B"}},
            "a token and a password; allowed: one of them",
        ),
        ({"url": "http://push.example", "token": {"env": "A"}}, "a secret over http; allowed: https"),
        ({"url": "http://10.0.0.7", "token": {"env": "A"}}, "a secret over http"),
        ({"url": URL, "attempts": 0}, "attempts"),
        ({"url": URL, "job": "a b"}, "job"),
    ],
)
def test_what_would_not_do_is_refused_in_one_line(tmp_path: Path, pushgateway: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {"pushgateway": pushgateway})
    text = str(caught.value)
    assert said in text and "isthmus.yaml:" in text and "metrics.pushgateway" in text
    assert "\n" not in text and "t0p-secret" not in text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "gateway.monitoring.svc"])
def test_a_secret_may_go_in_the_clear_inside_the_cluster(host: str) -> None:
    PushgatewaySection.model_validate({"url": f"http://{host}:9091", "token": {"env": "A"}})
