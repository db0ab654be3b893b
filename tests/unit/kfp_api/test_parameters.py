"""Parameters are typed by the spec before anything is sent; the server's own rules agree."""

from __future__ import annotations

import pytest

from components.errors import ConfigError
from pipeline.kfp_api import parameters, specs
from tests.support import kfp_api_specs, kfp_spec_rules
from tests.support.kfp_spec_rules import Refused


@pytest.fixture
def spec(spec_file):
    return specs.read(spec_file)


_LEAST = {"span": "-1", "exchange": "s3://exchange"}


def test_values_get_the_types_of_the_spec(spec):
    given = {**_LEAST, "seed": "11", "ratio": "0.25", "small": "True"}

    found = parameters.typed(spec, given)

    assert found == {"span": -1, "exchange": "s3://exchange", "seed": 11, "ratio": 0.25, "small": True}
    kfp_spec_rules.check_parameters(kfp_spec_rules.check_spec(spec.manifest()), found)


def test_text_stays_text_that_looks_like_a_number(spec):
    assert parameters.typed(spec, {**_LEAST, "exchange": "007"})["exchange"] == "007"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sede": "1"},
            r"parameter sede: not one of its \(did you mean 'seed'\?\); allowed: exchange, ratio",
        ),
        ({"seed": "1.5"}, r"parameter seed: '1.5'; allowed: an integer"),
        ({"seed": str(2**53 + 1)}, r"parameter seed: 9007199254740993; allowed: at most 2\^53"),
        ({"ratio": "nan"}, r"parameter ratio: 'nan'; allowed: a finite number"),
        ({"ratio": "half"}, r"parameter ratio: 'half'; allowed: a finite number"),
        ({"small": "yes"}, r"parameter small: 'yes'; allowed: true, false"),
    ],
)
def test_a_wrong_one_is_refused(spec, change, message):
    with pytest.raises(ConfigError, match=message):
        parameters.typed(spec, {**_LEAST, **change})


def test_a_missing_one_without_a_default_is_refused(spec):
    with pytest.raises(
        ConfigError, match=r"parameter exchange: missing, and it has no default; --param exchange=…"
    ):
        parameters.typed(spec, {"span": "1"})


@pytest.mark.parametrize(
    ("kind", "text", "value"), [("LIST", "[1, 2]", [1, 2]), ("STRUCT", '{"a": 1}', {"a": 1})]
)
def test_lists_and_structs_are_json(spec, kind, text, value):
    spec.parameters["extra"] = {"parameterType": kind}

    assert parameters.typed(spec, {**_LEAST, "extra": text})["extra"] == value
    with pytest.raises(ConfigError, match=r"parameter extra: not a JSON (list|object)"):
        parameters.typed(spec, {**_LEAST, "extra": "nothing"})


def test_a_type_that_nobody_can_give_is_refused(spec):
    spec.parameters["status"] = {"parameterType": "TASK_FINAL_STATUS", "isOptional": True}

    with pytest.raises(
        ConfigError, match=r"parameter status: of type TASK_FINAL_STATUS, which cannot be given"
    ):
        parameters.typed(spec, {**_LEAST, "status": "x"})


def test_pairs_are_taken_apart_at_the_first_equals_sign():
    assert parameters.parse_pairs(["a=1", "b=c=d", "e="]) == {"a": "1", "b": "c=d", "e": ""}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["a"], "--param a: not a pair"),
        (["=1"], "--param =1: not a pair"),
        (["a=1", "a=2"], "a: given twice"),
    ],
)
def test_other_pairs_are_refused(pairs, message):
    with pytest.raises(ConfigError, match=message):
        parameters.parse_pairs(pairs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"span": "1", "exchange": "x"}, "input parameter span requires type NUMBER_INTEGER"),
        ({"span": 1}, "parameter exchange is not optional"),
        ({"span": 1, "exchange": "x", "more": 1}, "not required by pipeline: more"),
    ],
)
def test_the_simulated_server_refuses_what_kfps_would(given, message):
    with pytest.raises(Refused, match=message) as error:
        kfp_spec_rules.check_parameters(kfp_spec_rules.check_spec(kfp_api_specs.documents()[0]), given)

    assert error.value.status == 400
