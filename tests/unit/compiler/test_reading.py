"""A spec is read back: every container task with where its inputs come from, however deep."""

from __future__ import annotations

import json

import pytest

from components.errors import InternalError
from pipeline.compiler.reading import leaves


def constant(value):
    return {"runtimeValue": {"constant": value}}


def task(component, parameters=(), artifacts=()):
    return {
        "componentRef": {"name": component},
        "inputs": {"parameters": dict(parameters), "artifacts": dict(artifacts)},
    }


def pipeline(root, **components):
    return {
        "root": {"dag": {"tasks": root}},
        "components": {
            "work": {"executorLabel": "exec-work"},
            **{name: {"dag": found} for name, found in components.items()},
        },
        "deploymentSpec": {
            "executors": {
                "exec-work": {"container": {"args": ["--task=t", "--step=s", "--role=report", "x"]}}
            }
        },
    }


def read(found):
    return {leaf.path: leaf for leaf in leaves(found)}


def nested():
    """outer/inner/make hands `rows` and `fact` out; beside/take gets both, and constants from the root."""
    produced = {"rows": {"producerTask": "outer", "outputArtifactKey": "rows"}}
    hand = {
        "outputs": {
            "artifacts": {
                "rows": {"artifactSelectors": [{"producerSubtask": "?", "outputArtifactKey": "rows"}]}
            },
            "parameters": {
                "fact": {"valueFromParameter": {"producerSubtask": "?", "outputParameterKey": "fact"}}
            },
        }
    }

    def handing(tasks, inner):
        return {"tasks": tasks, **json.loads(json.dumps(hand).replace('"?"', f'"{inner}"'))}

    down = {"a": {"componentInputParameter": "b"}, "fact": {"componentInputParameter": "fact"}}
    return pipeline(
        {
            "outer": task("outer"),
            "beside": task(
                "beside",
                {
                    "b": constant("eu-west"),
                    "seed": {"componentInputParameter": "seed"},
                    "fact": {"taskOutputParameter": {"producerTask": "outer", "outputParameterKey": "fact"}},
                },
                {"rows": {"taskOutputArtifact": produced["rows"]}},
            ),
        },
        outer=handing({"inner": task("inner")}, "inner"),
        inner=handing({"make": task("work", {"zone": constant("z")})}, "make"),
        beside={
            "tasks": {
                "take": task(
                    "work",
                    {**down, "seed": {"componentInputParameter": "seed"}},
                    {"rows": {"componentInputArtifact": "rows"}},
                )
            }
        },
    )


def test_through_graphs_in_both_directions():
    found = read(nested())
    assert set(found) == {"outer/inner/make", "beside/take"}
    take = found["beside/take"]
    assert take.constants == {"a": "eu-west"}
    assert take.asked == {"seed": "seed"}
    assert take.artifacts == {"rows": ("outer/inner/make", "rows")}
    assert take.parameters == {"fact": ("outer/inner/make", "fact")}
    assert (take.graph, take.step, take.is_report) == ("beside", "s", True)
    assert found["outer/inner/make"].zone == "z"


def test_one_of_several_is_nobodys():
    spec = nested()
    selectors = spec["components"]["inner"]["dag"]["outputs"]["artifacts"]["rows"]["artifactSelectors"]
    selectors.append({"producerSubtask": "make", "outputArtifactKey": "other"})
    assert read(spec)["beside/take"].artifacts["rows"][0] == "outer/inner"


def test_what_a_graph_is_not_given_comes_from_nobody():
    spec = nested()
    del spec["root"]["dag"]["tasks"]["beside"]["inputs"]["parameters"]["b"]
    take = read(spec)["beside/take"]
    assert "a" not in take.constants and "not given" in take.parameters["a"][0]


def test_what_a_container_is_told():
    told = {"template": constant('{"a":{"$":"own-0"},"b":{"$":"seed"}}'), "own": constant('{"own-0":[1]}')}
    leaf = read(pipeline({"t": task("work", told)}))["t"]
    assert leaf.told == {"a": [1], "b": {"$": "seed"}} and leaf.nodes == ()


@pytest.mark.parametrize("text", ["[1]", "1", '"text"', "null"])
def test_told_something_that_is_no_mapping(text):
    assert read(pipeline({"t": task("work", {"template": constant(text)})}))["t"].told == {}


def test_an_executor_that_is_no_container():
    spec = pipeline({"t": task("work")})
    spec["deploymentSpec"]["executors"]["exec-work"] = {"importer": {}}
    leaf = read(spec)["t"]
    assert leaf.container == {} and leaf.step == ""


def test_graphs_without_end():
    with pytest.raises(InternalError, match="a graph within itself"):
        read(pipeline({"t": task("loop")}, loop={"tasks": {"again": task("loop")}}))
    endless = {
        "artifacts": {"x": {"artifactSelectors": [{"producerSubtask": "a", "outputArtifactKey": "x"}]}}
    }
    spec = pipeline(
        {
            "t": task(
                "work", {}, {"x": {"taskOutputArtifact": {"producerTask": "g", "outputArtifactKey": "x"}}}
            ),
            "g": task("g"),
        },
        g={"tasks": {"w": task("work")}, "outputs": endless},
    )
    assert read(spec)["t"].artifacts["x"][0].startswith("g/")


def test_a_component_that_is_not_there():
    with pytest.raises(InternalError, match="t uses nothing, which is not there"):
        read(pipeline({"t": task("nothing")}))
