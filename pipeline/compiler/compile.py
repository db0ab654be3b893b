"""Compiles a deployment to specs of Kubeflow Pipelines v2: one for all, or one per cluster.

    root
      regions      one graph per locale, side by side
      after        hook on `regions`: runs once when they have ended, also when one failed
        central    the centre; it decides by quorum from what is in the exchange
        report     hook on `central`: says what became of everybody
      verdict      after `regions` and its hook: fails where the centre did

A task that merely depends on another one runs only when that succeeded (Argo's `X.Succeeded`), so
nothing but a hook lets the centre go on without a region; and a hook takes nothing from what may have failed.
A hook's failure does not count for the run, so an ordinary task at the end looks at what the report found.
Needs a back end of version 2.5.0 or later (`argocompiler/dag.go`).
"""

from __future__ import annotations

from typing import Any

from components.config_base import canonical_json
from components.errors import InternalError
from components.version import __version__
from pipeline.compiler import ir, rules, telling, zones
from pipeline.compiler.border import prove
from pipeline.compiler.lower import RUN, RUN_PLACEHOLDER, Compiled, Spec, is_template, pipeline_inputs
from pipeline.compiler.zones import Zone
from pipeline.config.kubeflow import Layout
from pipeline.config.model import Deployment, slug

Data = dict[str, Any]
#: Names of the graphs that every spec has; no locale gets them.
_REGIONS, _AFTER, _CENTRAL, _REPORT, _VERDICT = "regions", "after", "central", "report", "verdict"


def compile_deployment(
    deployment: Deployment, layout: Layout | None = None
) -> tuple[list[Compiled], list[str]]:
    """Compiles a deployment.

    Args:
      deployment: The checked deployment.
      layout: Other than the deployment's own.

    Returns:
      The specs (one, or one per locale and the centre's last) and warnings.

    Raises:
      ConfigError: something does not fit Kubernetes or the residency policy, or would cross a border.
    """
    chosen = rules.settings_for(deployment, layout).layout
    warnings = rules.check(deployment, chosen)
    warnings += telling.check(deployment, chosen)
    findings = telling.through(deployment, chosen)
    regions = [zones.region(deployment, locale.name, findings) for locale in deployment.locales]
    centre = zones.centre(deployment, findings)
    if chosen == "single-cluster":
        specs = [_spec(deployment, slug(deployment.name), regions, centre)]
    else:
        name = slug(deployment.name)
        specs = [_spec(deployment, f"{name}-{slug(zone.name)}", [zone], None) for zone in regions]
        specs.append(_spec(deployment, f"{name}-central", [], centre))
    prove(deployment, specs)
    for spec in specs:
        _check_form(spec)
    return specs, warnings


def _spec(deployment: Deployment, name: str, regions: list[Zone], centre: Zone | None) -> Compiled:
    settings = deployment.kubeflow
    spec = Spec(settings)
    for reserved in (_REGIONS, _AFTER, _CENTRAL, _REPORT, _VERDICT):
        spec.names.take(reserved)
    everyone = [*regions, *([centre] if centre else [])]
    host = centre or regions[0]
    told = {_VERDICT: _report_content(deployment, everyone)}
    told[_REPORT] = dict(told[_VERDICT])
    if host.findings:
        told[_REPORT]["telling"] = telling.content(deployment, host.name, host.findings)
    spec.share(everyone, {host.name: told[_REPORT]})
    roots: dict[str, Data] = {}
    needs: dict[str, list[str]] = {}
    dag_names = {zone.name: spec.names.take(zone.name) for zone in regions}
    for zone in regions:
        needs[dag_names[zone.name]] = spec.zone(zone, dag_names[zone.name])
    if centre:
        needs[_CENTRAL] = spec.zone(centre, _CENTRAL)
    for closing in (_REPORT, _VERDICT) if regions and centre else (_REPORT,):
        needs[closing] = spec.closing(told[closing], host, closing)

    def use(key: str, *, outer: bool, **how: Any) -> Data:
        given = {
            found: ir.constant(spec.templates[found])
            if outer and is_template(found)
            else ir.passed_down(found)
            for found in needs[key]
        }
        if key in (_REPORT, _VERDICT):
            given |= {
                "template": ir.constant(canonical_json(told[key])),
                "own": ir.constant("{}"),
                "zone": ir.constant(key),
                RUN: ir.constant(RUN_PLACEHOLDER),
            }
        return ir.task(key, f"comp-{key}", given, **how)

    def nest(key: str, tasks: dict[str, Data], inner: list[str]) -> None:
        needs[key] = sorted({found for task in inner for found in needs[task]})
        spec.components[f"comp-{key}"] = ir.dag(tasks, needs[key])

    hook = {"at_the_end": True}
    if regions and centre:
        inner = [dag_names[zone.name] for zone in regions]
        nest(_REGIONS, {key: use(key, outer=False) for key in inner}, inner)
        last = {
            _CENTRAL: use(_CENTRAL, outer=False),
            _REPORT: use(_REPORT, outer=False, after=[_CENTRAL], **hook),
        }
        nest(_AFTER, last, [_CENTRAL, _REPORT])
        roots[_REGIONS] = use(_REGIONS, outer=True)
        roots[_AFTER] = use(_AFTER, outer=True, after=[_REGIONS], **hook)
        roots[_VERDICT] = use(_VERDICT, outer=True, after=[_REGIONS])
    else:
        only = _CENTRAL if centre else dag_names[regions[0].name]
        roots[only] = use(only, outer=True)
        roots[_REPORT] = use(_REPORT, outer=True, after=[only], **hook)
    defaults = {
        "span": -1,
        "seed": deployment.seed,
        "exchange": deployment.exchange.uri,
        "image": settings.image,
    }
    pipeline: Data = {
        "pipelineInfo": {
            "name": name,
            "description": f"Isthmus {__version__}, deployment {deployment.name}, "
            f"config {deployment.file_digest[:12]}",
        },
        "schemaVersion": ir.SCHEMA_VERSION,
        "sdkVersion": f"isthmus-{__version__}",
        "root": {"inputDefinitions": pipeline_inputs(defaults), "dag": {"tasks": roots}},
        "components": spec.components,
        "deploymentSpec": {"executors": spec.executors},
    }
    if settings.pipeline_root:
        pipeline["defaultPipelineRoot"] = settings.pipeline_root
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": spec.platform}}}}
    return Compiled(name, pipeline, platform)


def _report_content(deployment: Deployment, everyone: list[Zone]) -> Data:
    return {
        "name": deployment.name,
        "config_digest": deployment.file_digest,
        "zones": [[zone.name, zone.sharing] for zone in everyone],
        "exchange": {"$": "exchange"},
        "storage": deployment.exchange.storage_options.model_dump(mode="json"),
    }


def _check_form(spec: Compiled) -> None:
    """Checks a spec against KFP's own protos, which know every field and its type.

    Raises:
      InternalError: it does not fit.
    """
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        json_format.ParseDict(spec.pipeline, pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise InternalError(f"compiled spec {spec.name}: {error}") from error
