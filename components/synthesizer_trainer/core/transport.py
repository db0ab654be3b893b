"""The linear map that gives some columns the covariance wanted of them, and moves them least.

Source: Olkin and Pukelsheim (1982), The distance between two random vectors with given dispersion matrices.
"""

from __future__ import annotations

import numpy as np

#: Singular values of the map stay between these: a feature that hardly moves is not blown up.
STRETCH = (0.6, 1.7)
#: Columns that are followed: ridge, and share of a feature's variance that they make up at most.
FOLLOWED_RIDGE = 0.02
MAX_FOLLOWED = 0.8


def linear_map(found: np.ndarray, wanted: np.ndarray, live: np.ndarray, follow: np.ndarray) -> np.ndarray:
    """The map x' = x + z @ matrix of live columns x, z all columns, that gives them the wanted covariance.

    What x has in common with the followed columns s is replaced by what it should have (a regression), and
    the rest is transported: x' = s @ Q + (x - s @ P) @ T.

    Args:
      found: Covariance of all columns. Shape [D, D].
      wanted: What it should be; of followed columns with each other it stays. Shape [D, D].
      live: Columns that are moved. Shape [D], bool.
      follow: Columns that stay and are followed. Shape [D], bool.

    Returns:
      Shape [D, live columns].
    """
    out = np.zeros((len(found), int(live.sum())))
    inside, across = np.ix_(live, live), np.ix_(follow, live)
    between = found[np.ix_(follow, follow)]
    inverse = np.linalg.inv(between + FOLLOWED_RIDGE * np.diag(np.diag(between)))
    now, then = inverse @ found[across], inverse @ wanted[across]
    # No feature becomes a copy of what it follows.
    explained = np.einsum("sl,st,tl->l", then, between, then)
    then = then * np.minimum(1.0, np.sqrt(MAX_FOLLOWED * np.diag(found)[live] / np.maximum(explained, 1e-12)))
    left = found[inside] - now.T @ between @ now
    moved = _transport(left, wanted[inside] - then.T @ between @ then)
    out[live] = moved - np.eye(len(moved))
    out[follow] = then - now @ moved
    return out


def correlation(covariance: np.ndarray) -> np.ndarray:
    """Of a covariance [D, D]; its diagonal is 1, where nothing varies too."""
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-9))
    out: np.ndarray = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(out, 1.0)
    return out


def _root(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    out: np.ndarray = (vectors * np.maximum(values, 1e-6) ** power) @ vectors.T
    return out


def _transport(found: np.ndarray, aim: np.ndarray) -> np.ndarray:
    """The map that takes covariance `found` to `aim` and moves least, its stretch kept in bounds."""
    if not len(found):
        return found
    deviation = np.sqrt(np.diag(found))
    scale = np.outer(deviation, deviation)
    half, inverse = _root(found / scale, 0.5), _root(found / scale, -0.5)
    matrix = inverse @ _root(half @ (aim / scale) @ half, 0.5) @ inverse
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    matrix = (vectors * np.clip(values, *STRETCH)) @ vectors.T
    out: np.ndarray = matrix * deviation[None, :] / deviation[:, None]
    return out
