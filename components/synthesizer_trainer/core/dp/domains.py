"""What is public of the columns; plain data, so that a configuration is checked without heavy packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Domains:
    """What is known of the columns before any row is seen.

    Attributes:
      bounds: Of every numeric feature: least and greatest value.
      steps: Resolution of a numeric feature where one is known; 1 for integers.
      vocabularies: Of every categorical feature.
      kinds: Anomaly kinds.
    """

    bounds: dict[str, tuple[float, float]]
    steps: dict[str, float]
    vocabularies: dict[str, tuple[str, ...]]
    kinds: tuple[str, ...]
