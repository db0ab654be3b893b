"""The private critic of method `dp_gan`. Imports no TensorFlow."""

from __future__ import annotations

import pydantic

from components.config_base import ComponentConfig


class CriticConfig(ComponentConfig):
    """How the critic is trained by DP-SGD (Abadi et al. 2016). What stands here is public.

    Attributes:
      slot_rows: Rows of a window. Windows are slots of a public clock: they begin at the period's start (at
        the epoch without one), one behind the other. Only a slot with one row in each of its intervals,
        all of normal operation, is a window.
      sampling_rate: Probability q with which each window, by itself, is in a step's batch.
      steps: Updates of the critic, each accounted for; nothing that the rows say ends them earlier.
      clip_norm: Greatest L2 norm of one window's gradient, over all of the critic's parameters.
      units: Channels of the critic. More parameters are more noise.
      budget_share: Share of the release's precision (1 / sigma^2 of one Gaussian mechanism) that the
        critic takes from the linear core.
    """

    slot_rows: int = pydantic.Field(12, ge=4, le=512)
    sampling_rate: float = pydantic.Field(0.1, gt=0, le=1)
    steps: int = pydantic.Field(200, ge=1, le=10_000)
    clip_norm: float = pydantic.Field(1.0, gt=0)
    units: int = pydantic.Field(8, ge=1, le=256)
    budget_share: float = pydantic.Field(0.2, gt=0, lt=1)
