"""`isthmus egress`: the list of what may leave a restricted locale, in words."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from components.errors import ConfigError, nearest_name
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json


def egress(
    config: ConfigArgument,
    locale: Annotated[
        Optional[str], typer.Option(help="The locale; all restricted ones where none is named.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what may leave a restricted locale: files, fields, categories, errors, and what never does."""
    deployment = load(config)
    restricted = [item.name for item in deployment.locales if item.sharing == "restricted"]
    known = [item.name for item in deployment.locales]
    if locale is not None and locale not in known:
        raise ConfigError(
            f"--locale: unknown locale '{locale}'{nearest_name(locale, known)}; allowed: {', '.join(known)}"
        )
    if locale is not None and locale not in restricted:
        raise ConfigError(
            f"--locale: {locale} is open: its validated rows leave; allowed: {', '.join(restricted)}"
        )
    found = [describe(deployment, name) for name in restricted if locale in (None, name)]
    if as_json:
        print_json(found)
        return
    for item in found:
        print("\n".join(sentences(item)))


def describe(deployment: Any, name: str) -> dict[str, Any]:
    """The policy and the lists of one restricted locale as JSON values."""
    from components.egress import lists
    from pipeline.config.resolve_regional import egress_config

    policy = egress_config(deployment, name)
    dataset = deployment.dataset
    exceptions = (
        ["central.ideal is true: the centre also reads this locale's raw rows. The border is a simulation."]
        if deployment.central.ideal
        else []
    )
    files = dict(lists.RELEASE_FILES)
    if policy.statistics == "withheld":
        del files["statistics/FeatureStats.pb"]
    if policy.domains == "withheld" or not dataset.schema_name:
        files["schema.pbtxt"] = "names, types and shape of the columns; no domains"
    if policy.evaluation == "withheld":
        files["evaluation.json"] = "the verdicts of the gate's checks, without numbers"
    if policy.monitoring == "withheld":
        del files["monitor.json"]
    if policy.sketch.mode == "withheld":
        del files["sketch.json"]
    return {
        "locale": name,
        "policy": policy.model_dump(mode="json"),
        "columns": [
            "timestamp",
            *dataset.series,
            *dataset.feature_names(),
            *filter(None, (dataset.label, dataset.label_kind)),
        ],
        "files": files,
        "fields": {
            "evaluation.json metrics": sorted(lists.METRIC_FIELDS) if policy.evaluation == "listed" else [],
            "evaluation.json gate.checks": sorted(lists.CHECK_FIELDS),
            "statistics/FeatureStats.pb": sorted(lists.STATISTICS_FIELDS),
            "monitor.json findings": sorted(lists.FINDING_FIELDS) if policy.monitoring == "listed" else [],
            "monitor.json measurements": sorted(lists.MEASUREMENT_FIELDS)
            if policy.monitoring == "listed"
            else [],
            "sketch.json": sorted(lists.SKETCH_FIELDS) if policy.sketch.mode != "withheld" else [],
            "run.json": sorted(lists.RUN_FIELDS | lists.SECTION_FIELDS | lists.COMPONENT_FIELDS),
        },
        "records": dict(lists.RECORDS),
        "stays": list(lists.STAYS),
        "exceptions": exceptions,
    }


def sentences(item: dict[str, Any]) -> list[str]:
    """What `describe` found, for people."""
    policy = item["policy"]
    rare = {"other": "is called 'other' instead", "refuse": "stops the release"}[policy["rare_categories"]]
    times = {"made": "stand on a regular grid", "real": "may stand at the times of real rows"}
    curves = {"withheld": "not shown outside the locale", "binned": "shown, binned, in the run's report"}
    return [
        f"{item['locale']}: what may leave",
        *(f"  EXCEPTION: {text}" for text in item["exceptions"]),
        "  in a release, and no other file:",
        *(f"    {name}: {what}" for name, what in item["files"].items()),
        f"  columns: {', '.join(item['columns'])}",
        f"  a category that no curated schema names needs {policy['min_supporters']} real "
        f"{policy['supporters']}; else it {rare}",
        f"  synthetic rows {times[policy['timestamps']]}",
        f"  curves of real rows are {curves[policy['real_curves']]}",
        *(f"  fields of {name}: {', '.join(fields)}" for name, fields in item["fields"].items() if fields),
        "  in the run's own records:",
        *(f"    {name}: {what}" for name, what in item["records"].items()),
        "  what never leaves:",
        *(f"    {what}" for what in item["stays"]),
        "  A field or file that is on no list is refused, not dropped.",
    ]
