"""What `detector.json` must look like, before any of it is used."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

import pydantic

#: Files of a detector beside `detector.json`: names that `storage.save_detector` gives, and no path.
ModelFile = Annotated[str, pydantic.Field(pattern=r"^prophet/[A-Za-z0-9._-]{1,120}\.json$")]
AnyFile = Annotated[str, pydantic.Field(pattern=r"^(prophet/[A-Za-z0-9._-]{1,120}\.json|classifier\.skops)$")]
Digest = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class StoredModel(_Part):
    """One forecast model.

    Attributes:
      file: Its Prophet JSON.
      locale, series, target: Its key; empty for "all".
      threshold: Deviation, in half-widths of the interval, above which a row is flagged.
      rows: Rows behind the fit.
      cycle_s: Period of the detected cycle.
      trained_on: What it was fitted on.
    """

    file: ModelFile
    locale: str
    series: str
    target: str
    threshold: float
    rows: int
    cycle_s: Optional[float]
    trained_on: str


class StoredClassifier(_Part):
    """A classifier beside its estimator: see `classifier.Classifier`."""

    threshold: float
    features: list[str]
    note: str


class StoredDetector(_Part):
    """`detector.json`; what it says beside this is for people.

    Attributes:
      models: The forecast models.
      classifiers: By role.
      digests: SHA-256 (hex) of every other file.
      config: Of the detector.
      training_locales: Whose rows it was fitted on, and how many.
    """

    model_config = pydantic.ConfigDict(extra="ignore")

    models: list[StoredModel]
    classifiers: dict[Literal["own", "foreign"], StoredClassifier]
    digests: dict[AnyFile, Digest]
    config: dict[str, object]
    training_locales: dict[str, object]
