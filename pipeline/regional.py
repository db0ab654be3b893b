"""The regional sub-pipeline: one per locale, with its own root and its own metadata.

`nodes` is a function that returns nodes, the same for the local runner and for the compiler. A
restricted locale trains a synthesizer and releases what it generates; an open one releases its
validated rows.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from components.drift_monitor.baselines import NO_BASELINES, Baselines
from components.drift_monitor.component import DriftMonitor
from components.drift_monitor.generator_component import GeneratorMonitor
from components.example_gen.component import ExampleGen
from components.example_gen.core.pii import with_key_ids
from components.example_gen.core.spans import resolve_sources
from components.example_validator.component import ExampleValidator
from components.governance.config import LedgerAccess
from components.pusher.component import Pusher
from components.release_evaluator.component import ReleaseEvaluator
from components.schema_gen.component import SchemaGen
from components.sketch_gen.component import SketchGen
from components.statistics_gen.component import StatisticsGen
from components.synthesizer_trainer.component import SynthesizerTrainer
from components.synthetic_gen.component import SyntheticGen
from components.tfx_shim import BaseComponent, Pipeline, metadata
from pipeline import governance
from pipeline.config.model import Deployment, slug
from pipeline.config.resolve_beam import beam_args
from pipeline.config.resolve_regional import RegionalConfigs, ledger_access, regional_configs
from pipeline.history import baselines, previous_release, previous_statistics


def build(deployment: Deployment, locale: str, *, stage: str = "merge", small: bool = False) -> Pipeline:
    """A locale's TFX pipeline, up to a stage.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      stage: `onboard` ends after ExampleValidator, `train` after SynthesizerTrainer; others are whole.
      small: The synthesizer's small preset.

    Raises:
      DataError: the locale's source or span does not exist.
    """
    configs = regional_configs(deployment, locale, small=small)
    keyed = with_key_ids(configs.example_gen.pii)
    source = configs.example_gen.model_copy(update={"pii": keyed})
    configs = dataclasses.replace(configs, example_gen=source)
    section = deployment.locale(locale)
    patterns = [source.pattern for source in configs.example_gen.sources]
    span, _, fingerprint = resolve_sources(patterns, section.span)
    root = Path(deployment.root)
    statistics_uri, statistics_fingerprint = previous_statistics(root, locale, span)
    earlier, earlier_fingerprint = baselines(root, locale, span, configs.drift_monitor.monitoring.baselines)
    synthetic_uri, synthetic_fingerprint = previous_release(root, locale, span)
    built = nodes(
        configs,
        stage=stage,
        locale=locale,
        span=span,
        fingerprint=fingerprint,
        seed=deployment.seed,
        previous_statistics_uri=statistics_uri,
        previous_statistics_fingerprint=statistics_fingerprint,
        earlier=earlier,
        earlier_fingerprint=earlier_fingerprint,
        previous_synthetic_uri=synthetic_uri,
        previous_synthetic_fingerprint=synthetic_fingerprint,
        push_fingerprint=governance.decisions_fingerprint(deployment, locale),
        ledger=ledger_access(deployment, locale),
    )
    return local_pipeline(deployment, locale, built)


def nodes(
    configs: RegionalConfigs,
    *,
    locale: str,
    span: int,
    fingerprint: str,
    seed: int,
    stage: str = "merge",
    previous_statistics_uri: str = "",
    previous_statistics_fingerprint: str = "",
    earlier: Baselines = NO_BASELINES,
    earlier_fingerprint: str = "",
    previous_synthetic_uri: str = "",
    previous_synthetic_fingerprint: str = "",
    push_fingerprint: str = "",
    ledger: LedgerAccess | None = None,
) -> list[BaseComponent]:
    """A region's components in topological order.

    Args:
      configs: Their configurations.
      locale: The locale's name.
      span: The span's number.
      fingerprint: Digest of the source's files, so that a cache never serves old data.
      seed: Seed of splits, training and sampling.
      stage: As for `build`. TFX refuses a pipeline whose nodes name ones that are not in it, so what
        comes after the stage is not made at all.
      previous_statistics_uri: ExampleStatistics of the span before, or "" where there is none.
      previous_statistics_fingerprint: Their digest.
      earlier: Profiles and statistics that drift is measured against.
      earlier_fingerprint: Their digest.
      previous_synthetic_uri: Examples that the span before released, or "" where it released none.
      previous_synthetic_fingerprint: Their digest.
      push_fingerprint: Changes with every decision about a release.
      ledger: Where the synthesizer's trainer reserves what it costs; None without a budget.
    """
    example_gen = ExampleGen(
        configs.example_gen, locale=locale, span=span, seed=seed, fingerprint=fingerprint
    ).with_id("ExampleGen")
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(configs.statistics_gen, examples=examples).with_id("StatisticsGen")
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = SchemaGen(configs.schema_gen, statistics=statistics).with_id("SchemaGen")
    schema = schema_gen.outputs["schema"]
    # Before the validator, which may refuse the span: what is wrong with it is then known all the same.
    drift = DriftMonitor(
        configs.drift_monitor,
        examples=examples,
        statistics=statistics,
        schema=schema,
        quarantine=example_gen.outputs["quarantine"],
        locale=locale,
        sharing="open" if configs.synthesizer is None else "restricted",
        span=span,
        baselines=earlier,
        fingerprint=earlier_fingerprint,
    ).with_id("DriftMonitor")
    validator = ExampleValidator(
        configs.example_validator,
        statistics=statistics,
        schema=schema,
        locale=locale,
        span=span,
        previous_statistics_uri=previous_statistics_uri,
        fingerprint=previous_statistics_fingerprint,
    ).with_id("ExampleValidator")
    onboarded = [example_gen, statistics_gen, schema_gen, drift, validator]
    if stage == "onboard":
        return onboarded
    if configs.synthesizer is None or configs.generation is None or configs.evaluator is None:
        if stage == "train":
            return onboarded
        pusher = Pusher(
            configs.pusher,
            examples=examples,
            locale=locale,
            span=span,
            schema=schema,
            statistics=statistics,
            monitor=drift.outputs["monitor"],
            fingerprint=push_fingerprint,
        ).with_id("Pusher")
        # A locale whose rows were found wanting releases nothing: the Pusher waits for the verdict.
        pusher.add_upstream_node(validator)
        return [*onboarded, pusher]
    trainer = SynthesizerTrainer(
        configs.synthesizer,
        examples=examples,
        statistics=statistics,
        schema=schema,
        locale=locale,
        seed=seed,
        ledger=ledger,
    ).with_id("SynthesizerTrainer")
    trainer.add_upstream_node(validator)
    if stage == "train":
        return [*onboarded, trainer]
    generator = SyntheticGen(
        configs.generation,
        model=trainer.outputs["model"],
        schema=schema,
        examples=examples,
        locale=locale,
        span=span,
        seed=seed,
    ).with_id("SyntheticGen")
    synthetic = generator.outputs["synthetic"]
    synthetic_statistics = StatisticsGen(configs.statistics_gen, examples=synthetic).with_id(
        "SyntheticStatisticsGen"
    )
    generated = GeneratorMonitor(
        configs.drift_monitor,
        profile=drift.outputs["profile"],
        drift=drift.outputs["monitor"],
        synthetic=synthetic,
        statistics=statistics,
        synthetic_statistics=synthetic_statistics.outputs["statistics"],
        schema=schema,
        locale=locale,
        span=span,
    ).with_id("GeneratorMonitor")
    evaluation = configs.evaluator.model_copy(
        update={
            "previous_synthetic_uri": previous_synthetic_uri,
            "previous_fingerprint": previous_synthetic_fingerprint,
        }
    )
    evaluator = ReleaseEvaluator(
        evaluation, examples=examples, synthetic=synthetic, schema=schema, locale=locale, span=span
    ).with_id("ReleaseEvaluator")
    told = []
    if configs.sketch is not None:
        sketch = SketchGen(
            configs.sketch, examples=examples, locale=locale, span=span, ledger=ledger
        ).with_id("SketchGen")
        # What its noise costs is set aside where there is something to release it with.
        sketch.add_upstream_node(evaluator)
        told.append(sketch)
    pusher = Pusher(
        configs.pusher,
        examples=synthetic,
        locale=locale,
        span=span,
        schema=schema,
        statistics=synthetic_statistics.outputs["statistics"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        model=trainer.outputs["model"] if ledger is not None else None,
        monitor=generated.outputs["monitor"],
        sketch=told[0].outputs["sketch"] if told else None,
        fingerprint=push_fingerprint,
    ).with_id("Pusher")
    return [*onboarded, trainer, generator, synthetic_statistics, generated, evaluator, *told, pusher]


def local_pipeline(deployment: Deployment, name: str, components: list[BaseComponent]) -> Pipeline:
    """A TFX pipeline with its own root and SQLite metadata below `<deployment.root>/<name>`."""
    root = Path(deployment.root) / name
    root.mkdir(parents=True, exist_ok=True)
    return Pipeline(
        pipeline_name=f"{slug(deployment.name)}-{slug(name)}"[:63].rstrip("-"),
        pipeline_root=str(root / "artifacts"),
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        beam_pipeline_args=beam_args(deployment, name),
    )
