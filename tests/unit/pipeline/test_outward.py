"""What the runner records of a restricted locale: listed fields, judged texts."""

from __future__ import annotations

import json

import pytest

from components.errors import DataError, InternalError
from pipeline import outward
from pipeline.config.load import load_deployment
from pipeline.run_state import PipelineState, RunState


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    from pipeline import starter

    return load_deployment(starter.write(tmp_path_factory.mktemp("outward") / "fleet", size="small"))


def state(**change) -> RunState:
    base = {"run_id": "r", "name": "n", "config": "c", "config_digest": "d", "seed": 0, "started_at": "t"}
    sections = {"locales": {"eu": PipelineState()}, "central": PipelineState(), "stage": "merge"}
    return RunState(**{**base, **sections, **change})


def test_the_runners_own_record_is_on_the_list(tmp_path):
    component = {"id": "Pusher", "component": "c", "state": "executed", "seconds": 1.0, "outputs": {}}
    state(locales={"eu": PipelineState(components=[component])}).save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["locales"]["eu"]["components"] == [component]


def test_a_field_that_is_on_no_list_is_refused_and_not_quoted(tmp_path):
    record = {"run_id": "r", "locales": {}, "central": {}}
    with pytest.raises(InternalError, match=r"run\.json holds the field") as caught:
        outward.run_record(record | {"KEY-Zyxwold": "secret"})
    assert "Zyxwold" not in str(caught.value) and "secret" not in str(caught.value)
    with pytest.raises(InternalError, match="a component of"):
        outward.run_record({"locales": {"eu": {"components": [{"id": "x", "rows": [1]}]}}})
    with pytest.raises(InternalError, match="a section of"):
        outward.run_record({"locales": {"eu": {"environ": {}}}})
    odd = state(locales={"eu": PipelineState(components=[{"id": "x", "quantiles": [1.5]}])})
    with pytest.raises(InternalError):
        odd.save(tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_a_component_tells_addresses_below_its_own_root_only():
    told = {"id": "x", "state": "executed", "outputs": {"model": "/r/eu/artifacts/x/1"}}
    assert outward.component(told, "/r/eu") == told
    with pytest.raises(InternalError, match="outside its root"):
        outward.component(told | {"outputs": {"model": "/r/central/x"}}, "/r/eu")
    with pytest.raises(InternalError, match="on no list"):
        outward.component(told | {"sample": [1]}, "/r/eu")


def test_an_error_leaves_as_fixed_text_and_place(deployment):
    names = outward.public_words(deployment)
    error = DataError("kunde-Zyxwold/data.csv row 17 column 'temp_c': value 93.71828 is bad")
    text = outward.error_text(error, names, "/r/eu/logs/1.log")
    assert text == (
        "…/data.csv row 17 column 'temp_c': value … is bad (what is withheld here stands in /r/eu/logs/1.log)"
    )
    plain = DataError("data.csv: column 'temp_c' is text throughout (1234 rows), its kind is continuous.")
    assert outward.error_text(plain, names, "/r/eu/logs/1.log") == str(plain)


def test_the_texts_of_a_pii_mapping_are_values_and_not_names(deployment):
    locales = list(deployment.locales)
    rule = {"column": "site", "action": "generalise", "mapping": {"Zyxwold": "north"}}
    locales[1] = locales[1].model_copy(update={"pii": (rule,)})
    words = outward.public_words(deployment.model_copy(update={"locales": tuple(locales)}))
    assert "site" in words and "Zyxwold" not in words


def test_progress_is_a_stage_of_ours_and_rounded_losses():
    told = outward.progress("training", 1, 2, {"distance": -0.19161234, "Zyxwold": 1.0})
    assert told == {
        "stage": "training",
        "done": 1.0,
        "total": 2.0,
        "values": {"distance": -0.1916, "…": 1.0},
    }
    assert outward.progress("Zyxwold", 1, 2, {})["stage"] == "working"


def test_a_locales_part_of_the_report_is_judged_word_by_word():
    part = {
        "locale": "Zyxwold-land",
        "sharing": "restricted",
        "ingest": {"content": {"dropped_columns": ["Maria", "Okafor"], "reasons": {"row of Maria": 3}}},
        "blessing": {"content": {"reasons": ["dcr_share: high bound 0.91 is not <= 0.7 for Maria"]}},
        "quality": {"content": {"evidence": [{"value": 0.91, "checks": [{"threshold": 0.7}]}]}},
        "push": {"content": {"uri": "/x/Zyxwold-land/span-0", "reason": "row 7: Maria"}},
    }
    found = outward.report_of(part, ["x"])
    assert "Maria" not in json.dumps(found) and "Okafor" not in json.dumps(found)
    assert found["locale"] == "Zyxwold-land" and found["push"]["content"]["uri"].endswith("span-0")
    (reason,) = found["blessing"]["content"]["reasons"]
    assert "0.91" in reason and "0.7" in reason and found["ingest"]["content"]["dropped_columns"] == ["…"]
