"""A configuration of the synthesizer from a profile: every setting that matters, with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.profiler.core.cost import Cost, Size, adversarial_s, estimate
from components.profiler.core.profile import Profile
from components.synthesizer_trainer.config import RareEventsConfig, SynthesizerTrainerConfig

#: Rows for each knot of the copula transform, at least: an interval of fewer is nearly a row's own value.
ROWS_PER_KNOT = 5
#: Windows for each of a batch that the critics need, as the trainer has it.
WINDOWS_PER_BATCH = 4
#: A crowd, as `egress.min_supporters` has it by default.
CROWD = 10
#: The wall-clock limit must be so many times the expected minutes.
HEADROOM = 2.0
#: Default settings that no property of the data speaks for or against.
_UNMOVED = {
    "generator_units": "measured with 24 channels only (docs/synthesizer.md)",
    "critic_units": "measured with 24 channels only (docs/synthesizer.md)",
    "critic_steps": "measured with 2 only; the generator starts at the linear core, not at noise",
    "ridge": "measured with 0.0001 only",
}
#: Keys of `dp` that the locale says as privacy.target_epsilon and target_delta.
_SAID_ELSEWHERE = {"epsilon", "delta"}


@dataclass(frozen=True)
class Setting:
    """One key of the configuration.

    Attributes:
      key: Of SynthesizerTrainerConfig.
      value: Proposed.
      default: Of the configuration.
      now: In the deployment file as it stands.
      reason: Why.
    """

    key: str
    value: Any
    default: Any
    now: Any
    reason: str

    @property
    def departs(self) -> bool:
        """Whether it departs from the default."""
        return bool(self.value != self.default)


@dataclass(frozen=True)
class Proposal:
    """What to write into the deployment file, and what it will cost.

    Attributes:
      settings: With reasons.
      warnings: Why the trainer would refuse the rows, or what the settings cannot mend.
      cost: Of a training; None where there is no estimate.
    """

    settings: tuple[Setting, ...]
    warnings: tuple[str, ...]
    cost: Cost | None

    def section(self) -> dict[str, Any]:
        """The keys and values for a `synthesizer` section, JSON-ready."""
        return {
            setting.key: list(setting.value) if isinstance(setting.value, tuple) else setting.value
            for setting in self.settings
        }


def propose(profile: Profile, now: SynthesizerTrainerConfig) -> Proposal:
    """Proposes a configuration.

    Args:
      profile: Of the locale's rows.
      now: The configuration as the deployment file has it.
    """
    if now.is_private:
        # A setting that is chosen by looking at the rows is a release of the rows outside of the epsilon.
        reason = "as configured; every other key would be chosen by the rows, outside of the epsilon"
        said = now.model_dump(
            mode="json", exclude_unset=True, exclude={"dataset": True, "dp": _SAID_ELSEWHERE}
        )
        kept = tuple(Setting(key, value, _default(key), value, reason) for key, value in said.items())
        return Proposal(kept, (f"no estimate of the cost of method {now.method} was measured",), None)
    settings: list[Setting] = []

    def add(key: str, value: Any, reason: str) -> None:
        default = SynthesizerTrainerConfig.model_fields[key].default
        settings.append(Setting(key, value, default, getattr(now, key), reason))

    add("method", "gan", "the locale has no target_epsilon; without one nothing is differentially private")
    _windows(profile, add)
    _recurrence(profile, add)
    _margins(profile, add)
    for key, reason in _UNMOVED.items():
        add(key, SynthesizerTrainerConfig.model_fields[key].default, reason)
    chosen = {setting.key: setting.value for setting in settings}
    proposed = SynthesizerTrainerConfig.model_validate({**now.model_dump(), **chosen})
    size = Size.of(
        proposed, profile.train_rows, profile.latent, profile.chained, profile.cadence.longest_grid
    )
    minutes = adversarial_s(size) / 60
    default = float(SynthesizerTrainerConfig.model_fields["max_minutes"].default)
    limit = default if HEADROOM * minutes <= default else float(np.ceil(HEADROOM * minutes))
    add(
        "max_minutes",
        limit,
        f"the residual's {size.steps} updates take about {minutes:.1f} minutes of one free core; "
        f"{HEADROOM:g} times that leaves room for a busy one",
    )
    return Proposal(tuple(settings), _warnings(profile, proposed), estimate(size))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _default(key: str) -> Any:
    return SynthesizerTrainerConfig.model_fields[key].default


def _windows(profile: Profile, add: Callable[[str, Any, str], None]) -> None:
    """window_steps, batch_size and max_steps: what the critics are trained on."""
    window, batch = int(_default("window_steps")), int(_default("batch_size"))

    def count(steps: int) -> int:
        return int(np.maximum(profile.segment_rows - steps + 1, 0).sum())

    found = count(window)
    if not profile.latent:
        add("max_steps", 0, "no column becomes a latent series, so there is no residual to train")
        return
    if found >= WINDOWS_PER_BATCH * batch:
        add("window_steps", window, f"{found:,} whole windows stand in the training rows; that is enough")
        add("batch_size", batch, f"{found:,} windows are {found // batch:,} batches")
        steps = int(_default("max_steps"))
        add("max_steps", steps, "measured with so many; held-out fidelity ends the training before")
        return
    shorter = [steps for steps in (32, 24, 16, 8) if count(steps) >= WINDOWS_PER_BATCH * batch]
    if shorter:
        longest = int(profile.segment_rows.max(initial=0))
        reason = f"{found:,} windows of {window} rows between gaps (the longest run has {longest:,} rows); "
        reason += f"{count(shorter[0]):,} of {shorter[0]}, and {WINDOWS_PER_BATCH * batch} are needed"
        add("window_steps", shorter[0], reason)
        add("batch_size", batch, f"{count(shorter[0]):,} windows are {count(shorter[0]) // batch:,} batches")
        add("max_steps", int(_default("max_steps")), "measured with so many")
        return
    add("max_steps", 0, f"{count(8):,} windows even of 8 rows: the critics have nothing to learn from")


def _recurrence(profile: Profile, add: Callable[[str, Any, str], None]) -> None:
    """var_order, memory_steps, max_periods: how the core runs on."""
    interval_s = profile.cadence.interval_s
    add(
        "var_order",
        int(_default("var_order")),
        "two lags kept time structure best of those compared (decision 5)",
    )
    memory = tuple(_default("memory_steps"))
    longest = int(profile.segment_rows.max(initial=0))
    times = [c.course.correlation_s for c in profile.columns if c.latent and c.course]
    known = [time / interval_s for time in times if time is not None]
    typical = float(np.median(known)) if known else 0.0
    reason = f"columns remember for {typical:,.0f} rows (median), the longest run has {longest:,}"
    add("memory_steps", memory, f"{reason}; the trainer leaves out what is more than half of that run")
    days = profile.cadence.days
    daily = [c for c in profile.columns if c.course and (c.course.daily or 0) >= 0.1]
    reason = f"{days:.1f} days of rows, {_counted(len(daily), 'column')} with a daily course; other cycles"
    add(
        "max_periods",
        int(_default("max_periods")),
        reason + " are looked for, and kept only if half of the rows predict them",
    )


def _margins(profile: Profile, add: Callable[[str, Any, str], None]) -> None:
    """quantiles, chain_states, min_state_count, max_vocabulary, min_train_rows."""
    rows, knots = profile.train_normal, int(_default("quantiles"))
    if rows >= ROWS_PER_KNOT * knots:
        add("quantiles", knots, f"{rows // knots:,} normal training rows for each knot")
    else:
        fewer = int(np.clip(rows // ROWS_PER_KNOT // 10 * 10, 20, knots))
        reason = f"{rows:,} normal training rows: with {knots} knots a knot would be nearly a row's own value"
        add("quantiles", fewer, reason)
    discrete = [c for c in profile.columns if c.varies and not c.latent]
    states = int(_default("chain_states"))
    add(
        "chain_states",
        states,
        f"{_counted(len(discrete), 'column')} of levels in chains of so many joint states at most",
    )
    rare = [c.name for c in discrete if c.held.rarest < CROWD]
    crowd = int(_default("min_state_count"))
    if rare:
        reason = (
            f"{_counted(len(rare), 'column')} with a level in fewer than {CROWD} rows: such levels merge, "
        )
        reason += "and combinations that are as rare with them: up to 0.02 of pair correlation where measured"
        add("min_state_count", CROWD, reason)
    else:
        add("min_state_count", crowd, f"no level stands in fewer than {CROWD} rows")
    words = max((c.held.distinct for c in profile.columns if c.declared == "categorical"), default=0)
    limit = int(_default("max_vocabulary"))
    what = f"the largest vocabulary has {words:,} values"
    add("max_vocabulary", limit, what + ("" if words <= limit else "; generalise it, do not raise the limit"))
    reason = f"{rows:,} normal training rows" + (
        "" if rows >= _default("min_train_rows") else ": too few, and a lower limit would not make them more"
    )
    add("min_train_rows", int(_default("min_train_rows")), reason)


def _fate(windows: int, policy: RareEventsConfig) -> str:
    """What the trainer does with a kind of few windows; it counts those of the training rows alone."""
    if windows >= policy.min_windows:
        return f"released by itself, as rare_events.min_windows is {policy.min_windows}"
    if policy.below == "merge":
        return "merged with other such kinds, as rare_events.below is merge"
    return "the trainer will refuse it (rare_events.below: merge, a longer span or method: dp_linear)"


def _warnings(profile: Profile, proposed: SynthesizerTrainerConfig) -> tuple[str, ...]:
    found = []
    if profile.train_normal < proposed.min_train_rows:
        found.append(
            f"the trainer will refuse {profile.train_normal:,} normal training rows; it needs "
            f"{proposed.min_train_rows} (min_train_rows)"
        )
    needed = 4 * (proposed.var_order + 1)
    longest = int(profile.segment_rows.max(initial=0))
    if longest < needed:
        found.append(
            f"the trainer will refuse runs of at most {longest} rows without a gap; it needs {needed}"
        )
    for column in profile.columns:
        if column.declared == "categorical" and column.held.distinct > proposed.max_vocabulary:
            found.append(
                f"the trainer will refuse column '{column.name}': {column.held.distinct:,} values, at most "
                f"{proposed.max_vocabulary} (max_vocabulary)"
            )
    for kind in profile.labels or ():
        if kind.rare:
            found.append(
                f"label kind '{kind.name}' has {_counted(kind.events, 'window')}, fewer than 10: "
                f"{_fate(kind.events, proposed.rare_events)}"
            )
    return tuple(found)
