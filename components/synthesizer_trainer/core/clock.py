"""What happens by the clock: calendar, each series' style of it, and a mean at every moment of one cycle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from components.synthesizer_trainer.core.calendar import Calendar, fit_calendar
from components.synthesizer_trainer.core.panel import Panel
from components.synthesizer_trainer.core.profiles import fit_profile, moment_means
from components.synthesizer_trainer.core.styles import fit_styles


@dataclass(frozen=True)
class Clock:
    """The part of the scores that the time alone says.

    Attributes:
      calendar: Functions of time; its last cycle is the profile's, where there is one.
      design: Those functions at every row. Shape [N, C].
      phases: Phase bins of the cycles at every row. Shape [N, P], int.
      styles: Coefficients of each series. Shape [series, F, C].
      profile: Mean at each moment of the last cycle. Shape [F, moments]; no moment: there is none.
      mean: What all of it comes to. Shape [N, F].
    """

    calendar: Calendar
    design: np.ndarray
    phases: np.ndarray
    styles: np.ndarray
    profile: np.ndarray
    mean: np.ndarray

    def with_inputs(self, panel: Panel, scores: np.ndarray, inputs: np.ndarray) -> Clock:
        """The same, fitted anew beside what is no effect of the clock, though it keeps to it.

        Args:
          panel: The rows.
          scores: As in `fit_clock`.
          inputs: What else drives the scores, centred. Shape [N, D].
        """
        styles, effects = fit_styles(self.design, scores, panel.series, panel.n_series, inputs)
        mean, profile = _styled(self.design, styles, panel), self.profile
        if profile.shape[1]:
            rest = scores - mean - inputs @ effects.T
            profile = moment_means(rest, self.phases[:, -1], profile.shape[1]) * profile.any(1)[:, None]
            mean = mean + profile[:, self.phases[:, -1]].T
        return replace(self, styles=styles, profile=profile, mean=mean)


def fit_clock(panel: Panel, scores: np.ndarray, interval_s: float, max_periods: int) -> Clock:
    """Fits the clock's part of scores.

    Args:
      panel: The rows.
      scores: Normal scores; NaN where a value is missing or not normal. Shape [N, F].
      interval_s: Cadence.
      max_periods: Cycles to look for, where there is a score.
    """
    calendar = fit_calendar(panel, scores, interval_s, max_periods if scores.shape[1] else 0)
    design = calendar.design(panel.time_us)
    styles, _ = fit_styles(design, scores, panel.series, panel.n_series, np.zeros((len(panel), 0)))
    mean = _styled(design, styles, panel)
    found = fit_profile(scores - mean, panel.time_us, panel.series, interval_s, calendar.periods_s)
    if not found:
        phases = calendar.phase_bins(panel.time_us)
        return Clock(calendar, design, phases, styles, np.zeros((scores.shape[1], 0)), mean)
    calendar = replace(
        calendar,
        periods_s=(*calendar.periods_s, found.period_s),
        harmonics=(*calendar.harmonics, 0),
        moments=found.means.shape[1],
    )
    phases = calendar.phase_bins(panel.time_us)
    mean = mean + found.means[:, phases[:, -1]].T
    return Clock(calendar, design, phases, styles, found.means, mean)


def _styled(design: np.ndarray, styles: np.ndarray, panel: Panel) -> np.ndarray:
    """The calendar's part of every row's scores. Shape [N, F]."""
    return np.asarray(np.einsum("nc,nfc->nf", design, styles[panel.series]))
