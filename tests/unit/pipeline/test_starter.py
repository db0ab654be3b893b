"""The deployment files that come with Isthmus: one template, and what it says of the options."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from components.simulator.presets import default_fleet
from pipeline import starter
from pipeline.config.load import load_deployment

ROOT = Path(__file__).parents[3]
EXAMPLE = "examples/simulated_fleet.yaml"


def body(text: str) -> str:
    """What follows the heading, which the two files have each of their own."""
    return text[text.index("\nversion: 1\n") :]


def test_the_example_is_the_template_with_paths_of_its_own():
    made = starter.render(
        default_fleet("demo", 7), EXAMPLE, "simulated-fleet", 7, below="../runs/simulated_fleet/"
    )
    assert body((ROOT / EXAMPLE).read_text()) == body(made)
    deployment = load_deployment(ROOT / EXAMPLE)
    assert deployment.exchange.uri == str(ROOT / "runs" / "simulated_fleet" / "exchange")


def test_the_grid_of_real_times_needs_what_the_template_says_it_needs(tmp_path):
    text = starter.render(default_fleet("small", 7), "isthmus.yaml", "fleet", 7)
    line = next(line for line in text.splitlines() if line.startswith("  grid: "))
    assert line.endswith("# or `real`, the times of the training rows; needs egress: {timestamps: real}")
    data = yaml.safe_load(text)
    data["generation"]["grid"] = "real"
    file = tmp_path / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match="timestamps: real"):
        load_deployment(file)
    for locale in data["locales"]:
        if locale["sharing"] == "restricted":
            locale["egress"] = {"timestamps": "real"}
    file.write_text(yaml.safe_dump(data))
    assert load_deployment(file).generation["grid"] == "real"
