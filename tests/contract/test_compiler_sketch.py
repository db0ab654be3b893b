"""A locale that releases a sketch: one node in the local pipeline and in the specs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError
from components.governance.config import LedgerAccess
from pipeline.compiler.graph import region_graph
from tests.support.compiled import compiled, executors, fused, tasks
from tests.support.deployments import deployment

pytestmark = pytest.mark.tfx

NOISED = {
    "mode": "noised",
    "begin": "2026-01-01",
    "end": "2026-02-01",
    "noise": {"epsilon": 1, "delta": 1e-7},
}


def sketching(data: dict[str, Any]) -> None:
    """eu-west releases noised counts, pt-BR suppressed ones."""
    data["dataset"] |= {
        "schema_name": "simulated_fleet",
        "features": [{"name": "temp_c"}, {"name": "soc"}],
        "targets": ["temp_c"],
    }
    west, brazil = data["locales"][0], data["locales"][1]
    west["privacy"]["budget"] = {"unit": "record", "epsilon": 30, "delta": 1e-6}
    west["synthesizer"]["dp"] = {"kinds": ["spike"], "period": west["synthesizer"]["dp"]["period"]}
    west["egress"] = {"sketch": NOISED}
    brazil["egress"] = {"sketch": {"mode": "suppressed", "minimum": 25}}


def nodes(tmp_path: Path, locale: str, *changes: Any) -> dict[str, Any]:
    return {node.id: node for node in region_graph(deployment(tmp_path, *changes), locale)}


def test_the_node_is_there_where_it_is_asked_for_and_takes_the_real_rows_alone(tmp_path):
    west = nodes(tmp_path, "eu-west", sketching)
    sketch = west["SketchGen"]
    assert sketch.inputs == {"examples": (("ExampleGen", "examples"),)}
    assert "ReleaseEvaluator" in sketch.after
    assert west["Pusher"].inputs["sketch"] == (("SketchGen", "sketch"),)
    access = LedgerAccess.model_validate(sketch.properties["ledger"]["$json"])
    assert access.governance.budget_unit == "record" and access.signing_key.env == "EU_WEST_SIGNING_KEY"
    assert sketch.properties["ledger"] == west["SynthesizerTrainer"].properties["ledger"]
    brazil = nodes(tmp_path, "pt-BR", sketching)["SketchGen"]
    assert brazil.properties["ledger"] == ""
    assert brazil.properties["config"]["$json"]["sketch"]["minimum"] == 25
    for section in deployment(tmp_path).locales:
        without = nodes(tmp_path, section.name)
        assert "SketchGen" not in without and "sketch" not in without["Pusher"].inputs


def test_a_seed_or_another_model_draws_no_noise_anew(tmp_path):
    def other(data: dict[str, Any]) -> None:
        sketching(data)
        data["seed"] = 8
        data["locales"][0]["synthesizer"]["dp"]["harmonics"] = 1

    one, two = (nodes(tmp_path, "eu-west", change) for change in (sketching, other))
    assert one["SketchGen"].properties == two["SketchGen"].properties
    assert one["SynthesizerTrainer"].properties != two["SynthesizerTrainer"].properties


@pytest.mark.parametrize(("fuse", "step"), [("cheap", "sketch"), ("none", "sketchgen")])
def test_a_pod_of_its_own_with_the_key_for_the_ledger_and_no_way_to_the_exchange(fuse, step):
    found = {}
    for spec in compiled(sketching, fused(fuse), layout="multi-cluster"):
        for name, leaf in tasks(spec).items():
            settings = executors(spec)[leaf.executor]
            found[name] = {
                key["envVar"] for secret in settings.get("secretAsEnv", ()) for key in secret["keyToEnv"]
            }
    assert "EU_WEST_SIGNING_KEY" in found[f"eu-west-{step}"]
    assert not found[f"eu-west-{step}"] & {"EXCHANGE_KEY_ID", "EU_WEST_PSEUDONYMS"}
    assert found[f"pt-br-{step}"] == set()
    assert not [name for name in found if name.startswith("depot-3") and name.endswith(step)]


def test_the_local_pipeline_has_it_and_the_border_check_passes_it_and_nothing_in_its_place(tmp_path):
    import yaml

    from components.release import keys
    from pipeline import central, regional, starter
    from pipeline.border_model import BorderError
    from pipeline.border_view import prove
    from pipeline.config.load import load_deployment

    config = starter.write(tmp_path / "fleet", size="small")
    data = yaml.safe_load(config.read_text())
    for locale in data["locales"]:
        if locale["sharing"] == "restricted":
            locale["egress"] = {"sketch": {"mode": "suppressed"}}
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    found = load_deployment(config)
    for section in found.locales:
        keys.ensure_key_pair(section.signing_key.file)
    pipelines = {section.name: regional.build(found, section.name) for section in found.locales}
    pipelines["central"] = central.build(found)
    ids = [node.id for node in pipelines["eu-west"].components]
    assert ids.index("ReleaseEvaluator") < ids.index("SketchGen") < ids.index("Pusher")
    assert "SketchGen" not in [node.id for node in pipelines["us-east"].components]
    prove(found, pipelines)
    by_id = {node.id: node for node in pipelines["eu-west"].components}
    by_id["SketchGen"].exec_properties["config"] = json.dumps({"folder": "/elsewhere/out"})
    with pytest.raises((BorderError, ConfigError), match="eu-west/SketchGen"):
        prove(found, pipelines)
