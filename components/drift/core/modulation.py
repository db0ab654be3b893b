"""Memory of what varies at some hours of the day only: a level that is cut off, a label, a batch job's mode.

Such a course is a process that remembers times a daily course of its spread. Read as a process alone it looks
quicker than it is, since each quiet night interrupts it: the p-values of labels were then too small twice or
thrice as often as they should be. Here the likelihood of each memory, and the ratios that follow from it, are
those of the product, for each dimension by itself. That costs a decomposition for each of them, so it is
done only where the spread does differ between hours.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from components.drift.core.persistence import MIXES, Course, Design, Sums, correlations
from components.drift.core.profile import Floats

#: Observations of the mean spread that each hour of the day is given beside its own.
_SHRINK = 8.0
#: Least spread of an hour, as a share of the mean one.
_LEAST = 0.1
#: Share of the hours that varies, by Kish's effective number, below which the course is modulated.
_EVEN = 0.9
#: Least share of the trace that is added to white noise's covariance, so that it can be inverted.
_RIDGE = 1e-6


def spread_of_day(course: Floats, design: Course) -> Floats:
    """Standard deviation at each hour of the day over the mean one. [T, F, D] to [phases, F, D].

    Of what is left without a daily course of means and the difference of the sides; shrunk to the same at all
    hours. 1 where nothing varies.
    """
    assert design.phase is not None
    total, features, dimensions = course.shape
    hour = (design.phase[:, None] == np.arange(design.phase.max() + 1)).astype(np.float64)
    later = (np.arange(total) >= design.first).astype(np.float64)[:, None]
    fixed = np.linalg.qr(np.concatenate([hour, later], axis=1))[0]
    flat = course.reshape(total, -1)
    squares = np.square(flat - fixed @ (fixed.T @ flat))
    pooled = squares.sum(axis=0) / max(total - fixed.shape[1], 1)
    count = hour.sum(axis=0)[:, None]
    variance = (hour.T @ squares + _SHRINK * pooled) / (count - 1 + _SHRINK)
    found = np.sqrt(np.maximum(variance, _LEAST**2 * pooled))
    found = np.where(pooled > 0, found, 1.0)
    found /= np.sqrt(np.square(found).mean(axis=0))
    return found.reshape(-1, features, dimensions)


def is_modulated(spread: Floats) -> np.ndarray:
    """Whether few hours of the day make up most of what varies. [phases, ...] to [...]."""
    effective = np.square(spread).mean(axis=0) ** 2 / (spread**4).mean(axis=0)
    return effective < _EVEN


def ratios(spread: Floats, design: Design) -> tuple[Floats, Floats]:
    """`Design.within` and `Design.dealt` of processes with that spread. [phases, ...] to [M, ...] each."""
    phases = spread.shape[0]
    flat = spread.reshape(phases, -1)
    cross = (flat[:, None] * flat[None]).reshape(phases**2, -1)
    forms = _forms(design)
    count = forms.shape[0]
    difference, shown, dealt = (forms.reshape(-1, phases**2) @ cross).reshape(count, 3, -1).swapaxes(0, 1)
    shape = (count, *spread.shape[1:])
    return (difference / shown).reshape(shape), (difference / dealt).reshape(shape)


@functools.lru_cache(maxsize=4)
def _forms(design: Design) -> Floats:
    """What each memory adds to three variances for each pair of hours. Shape [M, 3, phases, phases].

    Of the difference of the sides' means, as the blocks within the sides show it, and over deals.
    """
    course, sums = design.course, Sums.of(design.course)
    assert course.phase is not None
    hour = (course.phase[:, None] == np.arange(course.phase.max() + 1)).astype(np.float64)
    weights = [np.outer(sums.difference, sums.difference)]
    weights += [sums.by_block.T @ form @ sums.by_block for form in (sums.shown, sums.dealt)]

    def of(covariance: Floats) -> Floats:
        return np.stack([hour.T @ (covariance * weight) @ hour for weight in weights])

    white = of(np.eye(course.time.size))
    found = [white]
    for covariance in correlations(course):
        own = of(covariance)
        found += [floor * white + weight * own for floor, weight in MIXES]
    return np.stack(found)


def likelihoods(waves: Floats, spread: Floats, design: Design) -> Floats:
    """Logarithm of how likely each memory makes waves, up to a constant. [K, C], [phases, C] to [M, C]."""
    course = design.course
    assert course.phase is not None
    found = np.empty((design.spread.shape[0], waves.shape[1]))
    processes = list(correlations(course))
    for column in range(waves.shape[1]):
        turned = design.basis * spread[course.phase, column][:, None]
        found[:, column] = list(_each(waves[:, column], turned, processes))
    return found


def _each(waves: Floats, turned: Floats, processes: list[Floats]) -> Iterator[float]:
    """Of one column. The white noise's covariance is made the unit one; each time's has axes of its own."""
    size = waves.size
    white = turned.T @ turned
    white += _RIDGE * np.trace(white) / size * np.eye(size)
    lower = np.linalg.cholesky(white)
    clear = np.linalg.solve(lower, waves)
    yield float(-0.5 * size * np.log(clear @ clear))
    for process in processes:
        half = np.linalg.solve(lower, turned.T @ process @ turned)
        variance, axes = np.linalg.eigh(np.linalg.solve(lower, half.T))
        squares = np.square(axes.T @ clear)
        for floor, weight in MIXES:
            spread = np.maximum(floor + weight * variance, 1e-6)
            yield float(-0.5 * size * np.log((squares / spread).sum()) - 0.5 * np.log(spread).sum())
