"""The two measures that train a network: next-step error of a forecaster, and telling real from made.

Both are a GRU of Keras over windows, standardised by the period's real rows. Source: Esteban et al.
(2017), TSTR; Yoon et al. (2019), TimeGAN, discriminative score.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

from benchmarks.synthesizer.measures import starts, varying
from components.release_evaluator.core.resampling import auc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rows that a network sees.
WINDOW = 24
#: Windows of a side, at most: what is measured is the rows, not the patience.
MAX_WINDOWS = 6_000
FORECAST_UNITS, FORECAST_EPOCHS = 64, 10
JUDGE_UNITS, JUDGE_EPOCHS = 32, 12
#: Windows of the judge begin so many rows apart; it is tested on blocks of so many rows, the same ones on
#: both sides: a neighbour that was learnt from the other side would be taken for it.
JUDGE_STRIDE, JUDGE_BLOCK = 6, 600


class Scale:
    """Standardises rows by the real ones; nulls become the mean, constant columns are left out."""

    def __init__(self, real: Floats) -> None:
        self.columns = varying(real)
        self.mean = np.nanmean(real[:, self.columns], 0)
        self.spread = np.nanstd(real[:, self.columns], 0)

    def __call__(self, values: Floats) -> npt.NDArray[np.float32]:
        """Shape [N, columns]; values beyond eight deviations are cut."""
        scaled = np.nan_to_num((values[:, self.columns] - self.mean) / self.spread)
        return np.clip(scaled, -8, 8).astype(np.float32)


def _cut(values: npt.NDArray[np.float32], first: Ints, length: int) -> npt.NDArray[np.float32]:
    return values[first[:, None] + np.arange(length)]


def _thin(first: Ints, seed: int) -> Ints:
    if len(first) <= MAX_WINDOWS:
        return first
    return np.sort(np.random.default_rng([seed, 5]).choice(first, MAX_WINDOWS, replace=False))


def forecast_error(
    scale: Scale, train: tuple[Floats, Ints], test: tuple[Floats, Ints], seed: int
) -> tuple[float, float]:
    """Next-row MAE of a GRU trained on one set of rows and tried on another, and that of persistence.

    Args:
      scale: Of the period's real rows; the error is in its deviations, averaged over the columns.
      train: Rows and segments to learn from.
      test: Real rows to be tried on.
      seed: Of weights and batches.
    """
    keras.utils.set_random_seed(seed)
    learn, look = scale(train[0]), scale(test[0])
    windows = _cut(learn, _thin(starts(train[1], WINDOW + 1), seed), WINDOW + 1)
    tried = _cut(look, starts(test[1], WINDOW + 1), WINDOW + 1)
    model = keras.Sequential(
        [
            keras.Input((WINDOW, learn.shape[1])),
            keras.layers.GRU(FORECAST_UNITS),
            keras.layers.Dense(learn.shape[1]),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mae", jit_compile=False)
    model.fit(windows[:, :-1], windows[:, -1], batch_size=64, epochs=FORECAST_EPOCHS, verbose=0)
    made = model.predict(tried[:, :-1], batch_size=1024, verbose=0)
    return float(np.abs(made - tried[:, -1]).mean()), float(np.abs(tried[:, -2] - tried[:, -1]).mean())


def discriminative_auc(
    scale: Scale, real: tuple[Floats, Ints], made: tuple[Floats, Ints], seed: int
) -> float:
    """AUC of a GRU that tells real windows from made ones, on windows that it has not seen.

    0.5: cannot tell. Much below 0.5: the test windows' neighbours were learnt from the other side.
    """
    keras.utils.set_random_seed(seed)
    parts: dict[str, list[npt.NDArray[np.float32]]] = {"fit": [], "test": []}
    truth: dict[str, list[int]] = {"fit": [], "test": []}
    longest = max(len(values) for values, _ in (made, real))
    held = np.random.default_rng([seed, 6]).random(longest // JUDGE_BLOCK + 1) < 0.3
    held[-1], held[0] = True, False
    for side, (values, segment) in enumerate((made, real)):
        first = starts(segment, WINDOW)[::JUDGE_STRIDE]
        tested = held[first // JUDGE_BLOCK]
        windows = _cut(scale(values), first, WINDOW)
        for name, mask in (("fit", ~tested), ("test", tested)):
            parts[name].append(windows[mask])
            truth[name] += [side] * int(mask.sum())
    model = keras.Sequential(
        [
            keras.Input((WINDOW, parts["fit"][0].shape[2])),
            keras.layers.GRU(JUDGE_UNITS),
            keras.layers.Dense(1),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    answers = np.array(truth["fit"], np.float32)
    share = np.where(answers > 0, 0.5 / answers.mean(), 0.5 / (1 - answers.mean()))
    windows = np.concatenate(parts["fit"])
    model.fit(windows, answers, sample_weight=share, batch_size=64, epochs=JUDGE_EPOCHS, verbose=0)
    score = model.predict(np.concatenate(parts["test"]), batch_size=1024, verbose=0)[:, 0]
    label = np.array(truth["test"])
    return float(auc(score[label == 1], score[label == 0]))
