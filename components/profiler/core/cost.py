"""What training a synthesizer costs by the size of its data: processor seconds and memory.

A sum of few terms with coefficients that are not negative, fitted to measured trainings by their relative
error (`python -m benchmarks.synthesizer.fit_cost --fit`; the sizes and the error stand in docs/profile.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from components.synthesizer_trainer.config import SynthesizerTrainerConfig


@dataclass(frozen=True)
class Size:
    """What the cost depends on.

    Attributes:
      rows: Training rows.
      numeric: Features that become latent series.
      discrete: Features that become chains' levels.
      longest: Rows of the longest series' regular grid: as long is each of the lanes that are sampled.
      steps: Generator updates.
      window_rows: Rows that one update passes through the networks, critics' updates included.
      units: Channels of the networks.
    """

    rows: int
    numeric: int
    discrete: int
    longest: int
    steps: int
    window_rows: int
    units: int

    @classmethod
    def of(
        cls, config: SynthesizerTrainerConfig, rows: int, numeric: int, discrete: int, longest: int
    ) -> Size:
        """The size of a training.

        Args:
          config: How it is trained.
          rows: Training rows.
          numeric: Features that become latent series; without one nothing is trained.
          discrete: Other features that vary.
          longest: Rows of the longest series' grid.
        """
        # Held-out fidelity ends the training somewhere between the first time it may and the last step.
        first = min(config.patience * config.evaluate_every, config.max_steps)
        steps = (first + config.max_steps) // 2 if numeric else 0
        window_rows = config.batch_size * config.window_steps * (1 + config.critic_steps)
        units = config.generator_units + config.critic_units
        return cls(rows, numeric, discrete, longest, steps, window_rows, units)

    def terms(self) -> dict[str, float]:
        """The terms of the sum, by name."""
        columns = self.numeric + self.discrete
        pass_rows = self.steps * self.window_rows / 1e6
        return {
            "one": 1.0,
            "trains": float(self.steps > 0),
            "columns": float(columns),
            "cells": self.rows * columns / 1e6,
            "products": self.rows * self.numeric**2 / 1e6,
            "lanes": self.longest / 1e4,
            "lane_cells": self.longest * columns / 1e5,
            "passes": pass_rows * self.units / 48,
        }


@dataclass(frozen=True)
class Cost:
    """What a training is expected to cost.

    Attributes:
      cpu_s: Processor seconds on one thread.
      peak_mb: Peak memory of the process, in MB (10^6 bytes).
      measured: Whether no part of the size is beyond those measured, where a factor of two holds.
    """

    cpu_s: float
    peak_mb: float
    measured: bool


#: Coefficients by term.
CPU: dict[str, float] = {
    "one": 5.9,
    "trains": 10.4,
    "cells": 4.7,
    "products": 0.68,
    "passes": 12.3,
    "lanes": 2.5,
}
MEMORY: dict[str, float] = {
    "one": 1024.0,
    "columns": 1.6,
    "cells": 294.0,
    "products": 9.4,
    "lane_cells": 11.5,
}


#: The largest of each that was measured.
LIMITS = {"rows": 300_000, "numeric": 45, "discrete": 24, "longest": 75_000, "steps": 480}


def estimate(size: Size) -> Cost:
    """What a training of that size is expected to cost."""
    terms = size.terms()
    cpu_s, peak_mb = (sum(own[name] * terms[name] for name in own) for own in (CPU, MEMORY))
    measured = all(getattr(size, name) <= limit for name, limit in LIMITS.items())
    return Cost(cpu_s, peak_mb, measured)


def adversarial_s(size: Size) -> float:
    """Expected processor seconds of the residual's updates alone: what `max_minutes` bounds."""
    terms = size.terms()
    return sum(CPU[name] * terms[name] for name in ("trains", "passes"))


def fit_coefficients(
    sizes: Sequence[Size], measured: Sequence[float], terms: Sequence[str]
) -> dict[str, float]:
    """Coefficients, none negative, of least squared relative error.

    Args:
      sizes: Of the trainings that were measured.
      measured: What each cost; greater than 0.
      terms: Names of the terms that take part.

    Returns:
      Coefficient by term.

    Source: Lawson and Hanson (1974), Solving Least Squares Problems, ch. 23.
    """
    wanted = np.asarray(measured, float)
    design = np.array([[size.terms()[name] for name in terms] for size in sizes]) / wanted[:, None]
    found, _ = nnls(design, np.ones(len(wanted)))
    return {name: float(value) for name, value in zip(terms, found)}
