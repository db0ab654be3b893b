"""The deployment's `kubeflow` section: what the compiler is told. Imports no TFX."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from pipeline.config.placement import NOWHERE, PlacementSection

Layout = Literal["single-cluster", "multi-cluster"]
Fuse = Literal["none", "cheap", "region"]


class RetrySection(ComponentConfig):
    """How often a step is tried again.

    Attributes:
      max_retries: Tries after the first.
      backoff_s: Seconds before the first retry.
      backoff_factor: By which each further wait is longer; whole, because the back end reads it so.
    """

    max_retries: int = pydantic.Field(default=2, ge=0, le=10)
    backoff_s: int = pydantic.Field(default=30, ge=0, le=3600)
    backoff_factor: int = pydantic.Field(default=2, ge=1, le=10)


class KubeflowSection(ComponentConfig):
    """How the deployment is compiled for Kubeflow Pipelines v2.

    Attributes:
      image: The container image of every step, with a tag or digest.
      layout: `single-cluster` (one spec) or `multi-cluster` (one per region and one for the centre).
      residency: `strict` refuses a restricted locale without a pin to nodes, or without a bucket and
        credentials of its own. `none` trusts the cluster.
      fuse: Which steps share a pod. `cheap`: those that need minutes of start-up for seconds of work.
        `none`: one component a pod. `region`: a region in one pod after its first step.
      pipeline_root: Where KFP keeps artifacts; none leaves it to the cluster's default.
      retries: Of every step.
      step_timeout_s: Seconds after which a step that still runs is ended and counts as failed.
      cache: Whether KFP may serve a step from its cache; first steps and Pushers never are.
      central: Where the centre's steps run.
    """

    image: str = ""
    layout: Layout = "single-cluster"
    residency: Literal["none", "strict"] = "none"
    fuse: Fuse = "cheap"
    pipeline_root: str | None = pydantic.Field(default=None, min_length=1)
    retries: RetrySection = RetrySection()
    step_timeout_s: int = pydantic.Field(default=6 * 3600, ge=1)
    cache: bool = True
    central: PlacementSection = NOWHERE


NO_KUBEFLOW = KubeflowSection()
