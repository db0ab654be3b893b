"""`isthmus init`: a commented deployment with simulated data, which runs as it stands."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import jinja2

from components.errors import ConfigError
from components.executor_base import write_atomically
from components.simulator.config import FleetConfig, dataset_config
from components.simulator.core.fleet import simulate_fleet
from components.simulator.presets import Size, default_fleet
from pipeline.config.model import slug

CONFIG_NAME = "isthmus.yaml"


def write(folder: Path, *, seed: int = 7, size: Size = "demo") -> Path:
    """Simulates a fleet into `<folder>/data` and writes `<folder>/isthmus.yaml`.

    Args:
      folder: Made if it does not exist.
      seed: Seed of the fleet and of the deployment.
      size: Size of the fleet.

    Returns:
      Path of the deployment file.

    Raises:
      ConfigError: the folder has a deployment file already, or cannot be written.
    """
    config = folder / CONFIG_NAME
    if config.exists():
        raise ConfigError(f"{config}: exists already; choose another folder, or remove it")
    fleet = default_fleet(size, seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        simulate_fleet(fleet, folder / "data")
        # Written last: a folder with a deployment file has its data.
        write_atomically(config, render(fleet, CONFIG_NAME, slug(folder.resolve().name) or "fleet", seed))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror})") from None
    return config


def render(fleet: FleetConfig, file_name: str, name: str, seed: int, below: str = "") -> str:
    """Text of a deployment file for a simulated fleet.

    Args:
      fleet: Its locales and columns are the deployment's.
      file_name: The file's own name, for its comments.
      name: The deployment's name.
      seed: The deployment's seed.
      below: Put before every path of the file, with a `/` at its end; "" for beside the file.
    """
    dataset = dataset_config(fleet)
    template = resources.files("pipeline").joinpath("templates/isthmus.yaml.j2").read_text()
    text = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True).from_string(
        template
    )
    return text.render(
        file_name=file_name,
        name=name,
        seed=seed,
        below=below,
        interval_s=f"{dataset.interval_s:g}",
        targets=dataset.targets,
        features=dataset.features,
        locales=fleet.locales,
        amplification=2,
    )
