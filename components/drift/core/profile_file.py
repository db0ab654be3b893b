"""A profile in a folder: `profile.npz` with the arrays, `profile.json` with the plan. No pickle.

The JSON file is written last and names the digest of the arrays' file, so that a folder is a whole profile or
none. Both are checked on reading: a profile of the last span decides what is an alert in this one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import zipfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import pydantic

from components.drift.core.profile import CADENCE_EDGES, FeaturePlan, Profile, ProfilePlan
from components.errors import DataError
from components.executor_base import write_atomically, write_json

PLAN_FILE = "profile.json"
ARRAYS_FILE = "profile.npz"
VERSION: Final = 1
#: Of `PLAN_FILE`: ten thousand features with their edges take half of it.
MAX_PLAN_BYTES = 1 << 26
#: Of all arrays, unpacked: 8 GiB. A span's profile has tens of megabytes.
MAX_ARRAY_BYTES = 1 << 33
#: Beside the numbers, a member of an npz file has a header.
_HEADER_BYTES = 1_024
_WHOLE = (
    "bucket",
    "rows",
    "counts",
    "missing",
    "pairs",
    "still",
    "cadence",
    "labelled",
    "positive",
    "complete",
)


class _Checked(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class _FeatureForm(_Checked):
    name: Annotated[str, pydantic.Field(min_length=1)]
    kind: Literal["numeric", "categorical"]
    edges: list[float]
    categories: list[str]
    center: float
    scale: Annotated[float, pydantic.Field(gt=0)]

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> _FeatureForm:
        if any(low >= high for low, high in zip(self.edges, self.edges[1:])):
            raise ValueError("edges do not ascend")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a category stands twice")
        if self.categories if self.kind == "numeric" else self.edges:
            raise ValueError("edges are for numeric features, categories for the others")
        return self


class _PlanForm(_Checked):
    format: Literal["isthmus-profile"]
    version: Literal[1]
    buckets: Annotated[int, pydantic.Field(ge=0)]
    arrays_sha256: str
    features: list[_FeatureForm]
    bucket_s: Annotated[int, pydantic.Field(ge=1)]
    interval_s: Annotated[float, pydantic.Field(gt=0)]
    random_features: Annotated[int, pydantic.Field(ge=0)]
    seed: int
    public: bool
    labelled: bool

    @pydantic.model_validator(mode="after")
    def _named_once(self) -> _PlanForm:
        if len({feature.name for feature in self.features}) < len(self.features):
            raise ValueError("a feature stands twice")
        return self

    def plan(self) -> ProfilePlan:
        """The plan that was written."""
        return ProfilePlan(
            features=tuple(
                FeaturePlan(f.name, f.kind, tuple(f.edges), tuple(f.categories), f.center, f.scale)
                for f in self.features
            ),
            bucket_s=self.bucket_s,
            interval_s=self.interval_s,
            random_features=self.random_features,
            seed=self.seed,
            public=self.public,
        )


def write_profile(folder: Path, profile: Profile) -> None:
    """Writes both files, each whole or not at all.

    Args:
      folder: Is made where it is absent; an older profile in it is replaced.
      profile: Of a span.

    Raises:
      DataError: the profile is not valid; nothing is written.
    """
    check_profile(profile, str(folder))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(profile, name) for name in _array_names()})
    content = buffer.getvalue()
    write_atomically(folder / ARRAYS_FILE, content)
    write_json(
        folder / PLAN_FILE,
        {
            "format": "isthmus-profile",
            "version": VERSION,
            "buckets": len(profile.bucket),
            "arrays_sha256": hashlib.sha256(content).hexdigest(),
            "labelled": len(profile.positive) > 0,
            **plan_form(profile.plan),
        },
    )


def plan_form(plan: ProfilePlan) -> dict[str, Any]:
    """The plan as plain JSON: its fields by name."""
    return dataclasses.asdict(plan)


def read_profile(folder: Path) -> Profile:
    """Reads and checks a profile.

    Raises:
      DataError: a file is missing, of another version, altered, or not a profile; names file and rule.
    """
    where = str(folder / PLAN_FILE)
    try:
        raw = (folder / PLAN_FILE).read_bytes()
        content = (folder / ARRAYS_FILE).read_bytes()
    except OSError as error:
        raise DataError(
            f"{error.filename}: cannot be read ({error.strerror}); a profile is two files"
        ) from None
    if len(raw) > MAX_PLAN_BYTES:
        raise DataError(f"{where}: {len(raw)} bytes, allowed: {MAX_PLAN_BYTES}")
    try:
        form = _PlanForm.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "top level"
        raise DataError(f"{where}: not a profile of version {VERSION} ({place}: {first['msg']})") from None
    if hashlib.sha256(content).hexdigest() != form.arrays_sha256:
        raise DataError(
            f"{folder / ARRAYS_FILE}: not the file that {PLAN_FILE} was written with (its digest differs)"
        )
    plan = form.plan()
    profile = Profile(plan=plan, **_read_arrays(content, plan, form, str(folder / ARRAYS_FILE)))
    check_profile(profile, str(folder / ARRAYS_FILE))
    return profile


def _read_arrays(content: bytes, plan: ProfilePlan, form: _PlanForm, where: str) -> dict[str, Any]:
    wanted = _shapes(plan, form.buckets, form.labelled)
    if 8 * sum(map(math.prod, wanted.values())) > MAX_ARRAY_BYTES:
        raise DataError(f"{where}: arrays of {form.buckets} buckets need over {MAX_ARRAY_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if set(sizes) != {f"{name}.npy" for name in wanted}:
            raise DataError(f"{where}: holds other arrays than a profile has")
        for name, shape in wanted.items():
            # Before anything is unpacked: a small file may claim to be very large.
            if sizes[f"{name}.npy"] > 8 * math.prod(shape) + _HEADER_BYTES:
                raise DataError(f"{where}: array '{name}': larger than its shape {shape} allows")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in wanted}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError) as error:
        raise DataError(f"{where}: not a file of arrays ({type(error).__name__})") from None
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise DataError(f"{where}: array '{name}': shape {found[name].shape}, expected {shape}")
    return found


def check_profile(profile: Profile, where: str) -> None:
    """Checks a profile against its definition.

    Args:
      profile: As built, merged or read.
      where: Names it in messages.

    Raises:
      DataError: a shape, a type, a sign, or a sum that must hold does not; names the array and the rule.
    """
    plan, counts = profile.plan, profile.counts

    def demand(holds: Any, name: str, rule: str) -> None:
        if not np.all(holds):
            raise DataError(f"{where}: array '{name}': {rule}")

    for name, shape in _shapes(plan, len(profile.bucket), len(profile.positive) > 0).items():
        array = getattr(profile, name)
        demand(array.shape == shape, name, f"shape {array.shape}, expected {shape}")
        kind = np.dtype(np.int64 if name in _WHOLE else np.float64)
        demand(array.dtype == kind, name, f"type {array.dtype}, expected {kind}")
        if name in ("low", "high"):
            demand(~np.isinf(array), name, "an infinity")
        elif kind == np.float64:
            demand(np.isfinite(array), name, "a number that is not finite")
        elif name != "bucket":
            demand(array >= 0, name, "a negative count")
    demand(np.diff(profile.bucket) > 0, "bucket", "numbers do not ascend")
    demand(profile.longest_still_s >= 0, "longest_still_s", "a negative time")
    demand(profile.sums[..., 1] >= 0, "sums", "a negative sum of squares")
    values = feature_totals(profile)
    rows = profile.rows[:, None]
    demand(values + profile.missing == rows, "counts", "values and missing do not add up to the rows")
    demand(profile.still <= profile.pairs, "still", "more than pairs")
    demand(profile.pairs <= values, "pairs", "more than values")
    demand(profile.labelled[:, 1] <= profile.labelled[:, 0], "labelled", "more anomalies than labels")
    demand(profile.labelled[:, 0] <= profile.rows, "labelled", "more labels than rows")
    demand(profile.complete <= profile.rows, "complete", "more than rows")
    demand(profile.cadence.sum(axis=1) <= profile.rows, "cadence", "more steps than rows")
    if len(profile.positive):
        demand(profile.positive <= counts, "positive", "more than counts")
    numeric = np.array([feature.kind == "numeric" for feature in plan.features], bool)
    known = (values > 0) & numeric
    demand(np.isnan(profile.low) != known, "low", "a value where there is none, or none where there is one")
    demand(np.isnan(profile.high) != known, "high", "a value where there is none, or none where there is one")
    demand(~(profile.low > profile.high), "low", "greater than high")
    if plan.random_features:
        most = profile.complete[:, None] * math.sqrt(2 / plan.random_features) * (1 + 1e-9)
        demand(np.abs(profile.random) <= most, "random", "larger than its rows can make it")


def feature_totals(profile: Profile) -> np.ndarray:
    """Values of each feature, missing ones not among them. Shape [B, F]."""
    starts = profile.plan.offsets[:-1]
    if not len(starts):
        return np.zeros((len(profile.bucket), 0), np.int64)
    return np.asarray(np.add.reduceat(profile.counts, starts, axis=1))


def _array_names() -> list[str]:
    return [field.name for field in dataclasses.fields(Profile) if field.name != "plan"]


def _shapes(plan: ProfilePlan, buckets: int, labelled: bool) -> dict[str, tuple[int, ...]]:
    features, bins = len(plan.features), int(plan.offsets[-1])
    per_feature = ("missing", "low", "high", "pairs", "still", "longest_still_s")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(per_feature, (buckets, features))
    shapes |= dict.fromkeys(("bucket", "rows", "complete"), (buckets,))
    shapes |= {"counts": (buckets, bins), "positive": (buckets if labelled else 0, bins)}
    shapes |= {"sums": (buckets, features, 2), "cadence": (buckets, len(CADENCE_EDGES) + 1)}
    shapes |= {"labelled": (buckets, 2), "random": (buckets, plan.random_features)}
    return shapes
