"""Typed configuration of SketchGen."""

from __future__ import annotations

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.egress.config import SketchConfig


class SketchGenConfig(ComponentConfig):
    """Which sketch of the real rows a region makes.

    Attributes:
      dataset: The columns, and the curated schema that the bins come from.
      sketch: How little it tells.
    """

    dataset: DatasetConfig
    sketch: SketchConfig

    @pydantic.model_validator(mode="after")
    def _check_mode(self) -> SketchGenConfig:
        if self.sketch.mode == "withheld":
            raise ValueError("sketch.mode: found withheld; allowed: suppressed or noised")
        return self
