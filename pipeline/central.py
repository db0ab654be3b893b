"""The central merge stage: releases in, a judged detector out.

The centre sees the exchange, the labelled test set and, only in a simulation, the raw rows of the
restricted locales. No artifact of a region reaches it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from components.drift import served_rows
from components.example_gen.component import ExampleGen
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core.spans import resolve_sources
from components.example_gen.executor import NEWEST_SPAN
from components.merge_gen.component import MergeGen
from components.merge_gen.resolution import Resolution, resolve_releases
from components.prophet_evaluator.component import ProphetEvaluator
from components.pusher.model_component import ModelPusher
from components.schema_gen.component import SchemaGen
from components.skew_monitor.component import SkewMonitor
from components.skew_validator.component import SkewValidator
from components.statistics_gen.component import StatisticsGen
from components.tfx_shim import BaseComponent, Pipeline
from pipeline.config.model import Deployment
from pipeline.config.resolve import CentralConfigs, central_configs, ideal_span
from pipeline.history import previous_monitor
from pipeline.regional import local_pipeline

NAME = "central"


def build(deployment: Deployment) -> Pipeline:
    """The centre's TFX pipeline.

    Raises:
      DataError: the test set does not exist.
    """
    configs = central_configs(deployment)
    pinned = ideal_span(deployment) if configs.ideal else "latest"
    ideal = _fingerprint(configs.ideal, pinned) if configs.ideal else ""
    releases = resolve_releases(configs.merge_gen)
    span = max((found.span for found in releases.releases), default=0)
    earlier, earlier_fingerprint = previous_monitor(Path(deployment.root), span)
    if configs.skew_monitor.served_rows is not None:
        recorded = served_rows.fingerprint(Path(configs.skew_monitor.served_rows.folder))
        earlier_fingerprint = f"{earlier_fingerprint}+{recorded}"
    built = nodes(
        configs,
        releases=releases,
        test_fingerprint=_fingerprint(configs.test),
        ideal_fingerprint=ideal,
        ideal_span=NEWEST_SPAN if pinned == "latest" else pinned,
        seed=deployment.seed,
        previous_monitor_uri=earlier,
        previous_monitor_fingerprint=earlier_fingerprint,
    )
    return local_pipeline(deployment, NAME, built)


def _fingerprint(config: ExampleGenConfig, span: int | Literal["latest"] = "latest") -> str:
    return resolve_sources([source.pattern for source in config.sources], span)[2]


def nodes(
    configs: CentralConfigs,
    *,
    releases: Resolution | None,
    test_fingerprint: str,
    ideal_fingerprint: str,
    ideal_span: int = NEWEST_SPAN,
    seed: int,
    previous_monitor_uri: str = "",
    previous_monitor_fingerprint: str = "",
) -> list[BaseComponent]:
    """The centre's components in topological order.

    Args:
      configs: Their configurations.
      releases: The releases that there are; None leaves finding them to the executor.
      test_fingerprint: Digest of the test set's files.
      ideal_fingerprint: Digest of the raw files behind *Ideal*, or "".
      ideal_span: Which span *Ideal* reads; a number or `NEWEST_SPAN`.
      seed: Seed of training and bootstrap.
      previous_monitor_uri: The centre's MonitorReport of earlier spans, or "" where there is none.
      previous_monitor_fingerprint: Its digest, and one of what the detector was asked about.
    """
    merge = MergeGen(configs.merge_gen, releases).with_id("MergeGen")
    merged = merge.outputs["examples"]
    test = ExampleGen(
        configs.test, locale=NAME, span=NEWEST_SPAN, seed=seed, fingerprint=test_fingerprint
    ).with_id("TestExampleGen")
    built: list[BaseComponent] = [merge, test]
    ideal = None
    if configs.ideal is not None:
        ideal = ExampleGen(
            configs.ideal, locale=NAME, span=ideal_span, seed=seed, fingerprint=ideal_fingerprint
        ).with_id("IdealExampleGen")
        built.append(ideal)
    statistics = StatisticsGen(configs.statistics_gen, examples=merged).with_id("StatisticsGen")
    schema = SchemaGen(configs.schema_gen, statistics=statistics.outputs["statistics"]).with_id("SchemaGen")
    skew = SkewValidator(
        configs.skew_validator,
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
    ).with_id("SkewValidator")
    skew_monitor = SkewMonitor(
        configs.skew_monitor,
        examples=merged,
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        test_examples=test.outputs["examples"],
        merge_report=merge.outputs["merge_report"],
        previous_monitor_uri=previous_monitor_uri,
        fingerprint=previous_monitor_fingerprint,
    ).with_id("SkewMonitor")
    evaluator = ProphetEvaluator(
        configs.evaluator,
        examples=merged,
        test_examples=test.outputs["examples"],
        ideal_examples=ideal.outputs["examples"] if ideal else None,
        seed=seed,
    ).with_id("ProphetEvaluator")
    pusher = ModelPusher(
        configs.pusher,
        model=evaluator.outputs["model"],
        blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        merge_report=merge.outputs["merge_report"],
    ).with_id("ModelPusher")
    return [*built, statistics, schema, skew, skew_monitor, evaluator, pusher]
