"""Isthmus's own artifact types. Where TFX has a type (Examples, Schema, Model ...), that is used.

TYPE_NAME is the class's full import path, because KFP imports custom types by it at run time.
No typed PROPERTIES: only custom properties survive on open-source KFP.
"""

from __future__ import annotations

from components.tfx_shim import Artifact


class Quarantine(Artifact):
    """What ExampleGen found wanting: `quarantine.csv` (file, row, column, reason), `ingest.json`, and
    `quality.json` (missing values, what became of them, outliers; counts only)."""

    TYPE_NAME = "components.artifacts.Quarantine"


class DriftReport(Artifact):
    """`drift.json`: per feature, this span against the previous one."""

    TYPE_NAME = "components.artifacts.DriftReport"


class SpanProfile(Artifact):
    """A span's mergeable sketch (`components.drift.core.profile_file`), `span.json`; stays in its region."""

    TYPE_NAME = "components.artifacts.SpanProfile"


class MonitorReport(Artifact):
    """`monitor.json`: what monitoring found, whole; of a region also `outward.json`, what of it may leave."""

    TYPE_NAME = "components.artifacts.MonitorReport"


class SpanSketch(Artifact):
    """`sketch.json`: what a restricted locale tells of its real rows; with noise also `privacy_cost.json`."""

    TYPE_NAME = "components.artifacts.SpanSketch"


class SkewReport(Artifact):
    """`skew.json`: locale against locale, per feature."""

    TYPE_NAME = "components.artifacts.SkewReport"


class PushedRelease(Artifact):
    """`push.json`: whether a release was pushed, where to, its digest, or why not."""

    TYPE_NAME = "components.artifacts.PushedRelease"


class MergeReport(Artifact):
    """`merge.json`: releases accepted, refused (why) and missing; the quorum."""

    TYPE_NAME = "components.artifacts.MergeReport"
