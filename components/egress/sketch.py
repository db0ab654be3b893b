"""The sketch of real rows in a release: made by SketchGen, judged on both sides of the border."""

from __future__ import annotations

import math
from pathlib import Path

from components.dataset import DatasetConfig
from components.drift.core import outward
from components.drift.core.outward import NoiseRules, OutwardSketch, parse
from components.drift.core.profile import ProfilePlan
from components.drift.public import outward_plan
from components.egress.config import SketchConfig
from components.errors import ConfigError, DataError, InternalError, ReleaseError

#: In a release.
RELEASE_FILE = "sketch.json"


def to_bytes(sketch: OutwardSketch) -> bytes:
    """A sketch's one byte form."""
    return (sketch.to_exec_property() + "\n").encode()


def read_sketch(folder: Path | None, dataset: DatasetConfig, policy: SketchConfig, place: str) -> bytes:
    """The bytes of `sketch.json` of a release.

    Args:
      folder: Of the SpanSketch artifact; None where it is not connected.
      dataset, policy: As `released_sketch`.
      place: For messages.

    Raises:
      DataError: there is none, though the policy asks for one.
      InternalError: as `released_sketch`.
    """
    try:
        if folder is None:
            raise FileNotFoundError
        raw = (folder / RELEASE_FILE).read_bytes()
    except OSError:
        raise DataError(
            f"{place}: there is no sketch of the real rows, and egress.sketch asks for one; nothing was "
            "published. Run the locale again."
        ) from None
    return released_sketch(raw, dataset, policy)


def released_sketch(raw: bytes, dataset: DatasetConfig, policy: SketchConfig) -> bytes:
    """Checks the sketch that goes into a release.

    Args:
      raw: Its bytes, as SketchGen wrote them.
      dataset: The columns.
      policy: Of the locale.

    Returns:
      The bytes of `sketch.json`.

    Raises:
      InternalError: it is not of the form that leaves, or tells more than the policy lets out.
    """
    place = f"egress: {RELEASE_FILE}"
    rules, plan = policy.rules(), outward_plan(dataset)
    if rules is None:
        raise InternalError(f"{place}: the policy withholds it; nothing was released")
    try:
        sketch = parse(raw, plan, place)
    except DataError as error:
        raise InternalError(f"{error}; nothing was released") from None
    noise = rules.noise
    wanted = (
        rules.minimum,
        rules.top_categories,
        *((noise.epsilon, noise.delta, noise.unit_rows) if noise else (None, None, None)),
    )
    why = _why_not(sketch, raw, plan)
    if (sketch.minimum, sketch.top_categories, sketch.epsilon, sketch.delta, sketch.unit_rows) != wanted:
        why = "was made by other rules than the locale's policy has"
    elif rules.period_s is not None and sketch.period_s != rules.period_s:
        why = "has periods of another length than the locale's policy has"
    elif any(
        not rules.begin_s <= period.begin_s < rules.end_s
        for period in sketch.periods
        if rules.begin_s is not None and rules.end_s is not None
    ):
        why = "has a period outside the declared days"
    if why:
        raise InternalError(f"{place} {why}; nothing was released")
    return raw


def accepted_sketch(raw: bytes, dataset: DatasetConfig, uri: str) -> OutwardSketch:
    """Reads the `sketch.json` of another's release, which is signed but not ours.

    Args:
      raw: Its bytes.
      dataset: The columns; its curated schema gives the plan here too.
      uri: Of the release, for messages.

    Raises:
      ReleaseError: it is of another form or plan, tells a count that its own rules hide, or states another
        noise than its epsilon has.
    """
    place = f"{uri}/{RELEASE_FILE}"
    try:
        plan = outward_plan(dataset)
        sketch = parse(raw, plan, place)
    except ConfigError:
        raise ReleaseError(f"{place}: the centre's data set has no public plan to read it on.") from None
    except DataError as error:
        raise ReleaseError(f"{error}.") from None
    if why := _why_not(sketch, raw, plan):
        raise ReleaseError(f"{place}: {why}.")
    return sketch


def _why_not(sketch: OutwardSketch, raw: bytes, plan: ProfilePlan) -> str:
    if to_bytes(sketch) != raw:
        # A key twice, say: two readers would see two sketches.
        return "is not in the one form that a sketch has"
    if _most_told(sketch, plan) > sketch.top_categories:
        return f"tells more than {sketch.top_categories} bins of a categorical feature"
    if sketch.epsilon is None or sketch.delta is None or sketch.noise_std is None:
        return ""
    rows = sketch.unit_rows or 1
    try:
        unit = "record" if rows == 1 else "window"
        noise = NoiseRules(epsilon=sketch.epsilon, delta=sketch.delta, unit=unit, unit_rows=rows)
        std = outward.noise_std(plan, noise)
    except (InternalError, ArithmeticError, ValueError):
        return "states an epsilon and a delta that no noise is known for"
    if not math.isclose(std, sketch.noise_std, rel_tol=1e-6):
        return "states another noise than its epsilon and delta have"
    return ""


def _most_told(sketch: OutwardSketch, plan: ProfilePlan) -> int:
    """Most cells of a categorical feature that a period tells."""
    names = [feature.name for feature in plan.features if feature.kind == "categorical"]
    told = (
        sum(count is not None for count in (*found.bins, found.missing))
        for period in sketch.periods
        for found in (period.features[name] for name in names)
    )
    return max(told, default=0)
