"""A critic small enough for per-example gradients in closed form.

D(x) = mean over t of v . phi(A' x_t + b), phi a leaky ReLU, x_t three consecutive rows of scores, their
differences, and the condition of the last: one hidden convolution and a mean. Its gradient for all windows
of a batch is two matrix products each, so no loop and no automatic differentiation.

Source: WGAN's critic (Arjovsky et al. 2017); norms are bounded by projection, which sees no row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

KERNEL = 3
LEAK = 0.2
#: Differences of scores count so many times: telemetry moves little from row to row.
CHANGE_SCALE = 4.0


def inputs(scores: Any, condition: Any, join: Callable[..., Any] = np.concatenate) -> Any:
    """What the critic sees of a window, for NumPy and TensorFlow alike.

    Args:
      scores: Normal scores. Shape [n, W, F].
      condition: Shape [n, W, Q].
      join: `np.concatenate` or `tf.concat`.

    Returns:
      Shape [n, W - 2, 5 F + Q].
    """
    change = CHANGE_SCALE * (scores[:, 1:] - scores[:, :-1])
    rows = [scores[:, :-2], scores[:, 1:-1], scores[:, 2:]]
    return join([*rows, change[:, :-1], change[:, 1:], condition[:, KERNEL - 1 :]], axis=-1)


def width(features: int, condition: int) -> int:
    """Channels of `inputs`."""
    return 5 * features + condition


def initial(channels: int, units: int, seed: int) -> np.ndarray:
    """Random parameters: columns of A and v have norm 1, b is 0. Shape [channels units + 2 units]."""
    generator = np.random.default_rng([seed & 0x7FFFFFFF, 31])
    a, v = generator.normal(size=(channels, units)), generator.normal(size=units)
    a /= np.linalg.norm(a, axis=0)
    return np.concatenate([a.ravel(), np.zeros(units), v / np.linalg.norm(v)])


def parts(theta: Any, units: int) -> tuple[Any, Any, Any]:
    """A [channels, units], b [units] and v [units] of flat parameters."""
    cut = theta.shape[0] - 2 * units
    return theta[:cut].reshape(cut // units, units), theta[cut : cut + units], theta[cut + units :]


def values(theta: np.ndarray, seen: np.ndarray, units: int) -> np.ndarray:
    """D of every window. Shape [n]."""
    a, b, v = parts(theta, units)
    hidden = np.matmul(seen, a) + b
    return np.asarray((np.where(hidden > 0, hidden, LEAK * hidden) @ v).mean(1))


def gradients(theta: np.ndarray, seen: np.ndarray, units: int) -> np.ndarray:
    """Gradient of D by the parameters, for every window by itself.

    `np.matmul` of three-dimensional arrays multiplies window by window, so that a window's gradient is the
    same to the last bit whatever else is in the batch: one window more moves no other's rounding.

    Args:
      theta: Shape [p].
      seen: `inputs`. Shape [n, T, D], float64.
      units: H.

    Returns:
      Shape [n, p].
    """
    a, b, v = parts(theta, units)
    hidden = np.matmul(seen, a) + b
    by_v = np.where(hidden > 0, hidden, LEAK * hidden).mean(1)
    by_hidden = np.where(hidden > 0, 1.0, LEAK) * (v / seen.shape[1])
    by_a = np.matmul(np.ascontiguousarray(seen.transpose(0, 2, 1)), by_hidden)
    return np.concatenate([by_a.reshape(len(seen), a.size), by_hidden.sum(1), by_v], axis=1)


def projected(theta: np.ndarray, units: int) -> np.ndarray:
    """Parameters with |A| at most sqrt(H) (Frobenius) and |b|, |v| at most 1: post-processing."""
    a, b, v = parts(theta, units)
    limits = ((a.ravel(), np.sqrt(units)), (b, 1.0), (v, 1.0))
    return np.concatenate(
        [x * min(1.0, limit / max(float(np.linalg.norm(x)), 1e-300)) for x, limit in limits]
    )
