"""DP-SGD's one look at the rows: a noisy sum of clipped gradients over a Poisson sample of windows.

Every step takes each window independently with probability q (the batch may be empty: then the step is
noise alone), clips each window's gradient to the norm C over all parameters, adds them, and adds normal
noise; that sum is all that is kept. How many windows were drawn, their losses and the sum without noise are
seen by nobody. What is divided by, the expected size of a batch, is a function of q and of a count that was
released with noise before. The noise and the draws come from the operating system's entropy, never from the
configuration's seed.

Rounding as for the core (`mechanism`): clipped gradients are rounded towards zero to a power of two, so
their sum has no rounding error; noise is rounded to the same lattice. Probabilities are exact to 2^-53.

Source: Abadi et al. (2016), "Deep learning with differential privacy"; Mironov et al. (2019), "Renyi
differential privacy of the sampled Gaussian mechanism", for the sampling that is meant.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.synthesizer_trainer.core.dp import critic
from components.synthesizer_trainer.core.dp.mechanism import Noise, Query, clip_norm, measured

#: (windows, q) to which of them are drawn, shape [windows], bool.
Draw = Callable[[int, float], np.ndarray]
#: Halvings of the clipping norm down to the lattice.
LATTICE_BITS = 24
#: Step size of the critic; its gradient is the difference of two means, at most a few clipping norms.
CRITIC_RATE = 0.1


@dataclass(frozen=True)
class Mechanism:
    """Of every step; all of it public.

    Attributes:
      sampling_rate: q.
      clip_norm: C.
      std: Standard deviation of the noise of one entry of the sum, in units of C.
    """

    sampling_rate: float
    clip_norm: float
    std: float


def system_draw(count: int, rate: float) -> np.ndarray:
    """Independent draws of probability `rate` from the operating system's entropy. Shape [count], bool."""
    words = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)
    return words < np.uint64(math.ceil(rate * 2**53))


def noisy_sum(gradients: np.ndarray, own: Mechanism, noise: Noise | None = None) -> np.ndarray:
    """Clips, adds and perturbs.

    Args:
      gradients: Of the drawn windows; there may be none. Shape [b, p].
      own: Norm and noise.
      noise: As for `mechanism.release`; anything but None has no guarantee (tests only).

    Returns:
      Shape [p].
    """
    lattice = 2.0 ** (math.floor(math.log2(own.clip_norm)) - LATTICE_BITS)
    total = clip_norm(gradients, own.clip_norm, lattice).sum(0)
    query = Query("gradient", total.shape, 0, own.clip_norm, 1.0, lattice)
    return measured(query, total, own.std * own.clip_norm, noise).value


def critic_step(
    theta: np.ndarray,
    real: np.ndarray,
    fake: np.ndarray,
    units: int,
    own: Mechanism,
    expected: float,
    noise: Noise | None = None,
    draw: Draw | None = None,
) -> np.ndarray:
    """One ascent of E D(real) - E D(fake).

    The fakes' mean gradient costs nothing, and it is taken off each real gradient *before* it is clipped:
    what is clipped is the difference that is wanted, and a batch's random size moves it little.

    Args:
      theta: Parameters, made of earlier noisy sums alone. Shape [p].
      real: `critic.inputs` of all windows. Shape [n, T, D].
      fake: The same of made ones. Shape [m, T, D].
      units: Of the critic.
      own: The mechanism.
      expected: Size of a batch to divide by, known without the rows.
      noise, draw: None takes the operating system's entropy; anything else has no guarantee (tests only).

    Returns:
      New parameters. Shape [p].
    """
    centre = critic.gradients(theta, fake, units).mean(0)
    chosen = (draw or system_draw)(len(real), own.sampling_rate)
    total = noisy_sum(critic.gradients(theta, real[chosen], units) - centre, own, noise)
    return critic.projected(theta + CRITIC_RATE / expected * total, units)
