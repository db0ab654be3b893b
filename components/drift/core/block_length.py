"""How long the blocks of the null must be: as long as a series remembers, and a day where days repeat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.drift.core.pairing import DAY_S, phase
from components.drift.core.profile import Floats, Profile

#: Features that are looked at; more do not change the answer.
MAX_FEATURES = 64
#: Level of the test for a daily course, over all features. Persistence makes it say yes too often, which only
#: asks for longer blocks.
COURSE_ALPHA = 0.001
#: Blocks on a side that must remain for blocks of several days: `persistence` is the better answer below.
PLENTY = 12


def choose_block_s(current: Profile, baseline: Profile) -> float:
    """Length of a block, in seconds.

    At least a day where both sides last for two days and a daily course is seen, or for four days anyway. The
    rest is the automatic choice of Politis & White (2004), Econometric Reviews 23(1), with the correction of
    Patton, Politis & White (2009), Econometric Reviews 28(4), of which the upper quartile over features is
    taken: in whole days, where enough blocks remain, or in buckets where no day has to be kept whole.

    Args:
      current: First side, with at least one bucket.
      baseline: Other side, with at least one bucket, all of the same length.
    """
    bucket_s = current.plan.bucket_s
    sides = [_levels(side) for side in (current, baseline)]
    extents = [(int(side.bucket[-1] - side.bucket[0]) + 1) * bucket_s / DAY_S for side in (current, baseline)]
    daily = False
    if bucket_s < DAY_S and DAY_S % bucket_s == 0 and min(extents) >= 2:
        phases = [phase(side.bucket, bucket_s) for side in (current, baseline)]
        fitted = [_course(levels, of) for levels, of in zip(sides, phases)]
        daily = any(bool(seen.any()) for _, seen in fitted)
        if daily:
            sides = [levels - course for levels, (course, _) in zip(sides, fitted)]
    lengths = [automatic_length(column) for side in sides for column in side.T]
    length_s = float(np.quantile(lengths, 0.75)) * bucket_s if lengths else float(bucket_s)
    if not daily and min(extents) < 4:
        return max(np.ceil(length_s / bucket_s), 1.0) * bucket_s
    days = min(np.ceil(length_s / DAY_S), min(extents) // PLENTY)
    return float(max(days, 1.0) * DAY_S)


def _levels(profile: Profile) -> Floats:
    """Mean bin of each bucket, feature by feature; the mean where a bucket has none. Shape [B, F]."""
    found = []
    for position in range(min(len(profile.plan.features), MAX_FEATURES)):
        counts = profile.counts[:, profile.plan.columns(position)]
        n = counts.sum(axis=1)
        total = counts @ np.arange(counts.shape[1], dtype=np.float64)
        level = np.divide(total, n, out=np.zeros(n.shape), where=n > 0)
        if n.any():
            level[n == 0] = total.sum() / n.sum()
            found.append(level)
    return np.stack(found, axis=1) if found else np.zeros((profile.bucket.size, 0))


def _course(levels: Floats, of: np.ndarray) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Mean of each bucket's hour of the day, and whether hours differ by Fisher's test. [B, F], [F]."""
    count = int(of.max()) + 1
    rows = np.bincount(of, minlength=count)
    sums = np.zeros((count, levels.shape[1]))
    np.add.at(sums, of, levels)
    course = (sums / np.maximum(rows, 1)[:, None])[of]
    between, within = int((rows > 0).sum()) - 1, levels.shape[0] - int((rows > 0).sum())
    explained = ((course - levels.mean(axis=0)) ** 2).sum(axis=0)
    left = ((levels - course) ** 2).sum(axis=0)
    if between < 1 or within < 1:
        return course, np.zeros(levels.shape[1], dtype=bool)
    # A course without any noise about it is seen; a constant is none.
    ratio = np.divide(explained / between, left / within, out=np.full_like(left, np.inf), where=left > 0)
    seen = stats.f.sf(ratio, between, within) < COURSE_ALPHA / max(levels.shape[1], 1)
    return course, seen & (explained > 1e-12)


def automatic_length(series: Floats) -> float:
    """Block length of least error for the variance of a mean, in steps of the series; at least 1.

    Args:
      series: Evenly spaced. Shape [T].
    """
    size = series.size
    centred = series - series.mean()
    if size < 8 or not np.any(np.abs(centred) > 1e-12):
        return 1.0
    window = max(5, int(np.ceil(np.sqrt(np.log10(size)))))
    last = min(int(np.ceil(np.sqrt(size))) + window, size - 1)
    # The FFT is padded, so that the autocovariances are not circular.
    power = np.abs(np.fft.rfft(centred, 2 * size)) ** 2
    covariance = np.fft.irfft(power)[: size // 2 + 1] / size
    significant = 2 * np.sqrt(np.log10(size) / size)
    large = np.flatnonzero(np.abs(covariance[1 : last + 1] / covariance[0]) > significant) + 1
    # The least m after which `window` lags in a row are not significant; the last large lag where none is.
    ends = np.concatenate([[0], large])
    gaps = np.diff(np.concatenate([ends, [last + window + 1]]))
    bandwidth = int(min(2 * max(int(ends[np.flatnonzero(gaps > window)[0]]), 1), size // 2))
    lags = np.arange(1, bandwidth + 1)
    taper = np.clip(2 * (1 - lags / bandwidth), 0.0, 1.0)
    weighted = taper * covariance[1 : bandwidth + 1]
    slope = 2 * float((lags * weighted).sum())
    spectrum = float(covariance[0] + 2 * weighted.sum())
    longest = np.ceil(min(3 * np.sqrt(size), size / 3))
    if spectrum <= 0:
        return float(longest)
    length = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * size ** (1 / 3)
    return float(np.clip(length, 1.0, longest))
