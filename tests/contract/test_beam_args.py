"""Beam's options reach every step that makes a Beam pipeline, exactly; none builds a runner of its own."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError

pytestmark = pytest.mark.tfx

IN_MEMORY = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
#: Who makes a Beam pipeline but by `_make_beam_pipeline`, and why `beam.args` does not concern it.
NOT_STEPS = {
    "components/synthesizer_trainer/analysers.py": "tensorflow-transform's analysers of one batch, inside an "
    "element of the step's own pipeline",
    "pipeline/doctor.py": "asks whether Beam works on this machine",
}
ARGS = {
    "direct": ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    "flink": [
        "--runner=FlinkRunner",
        "--flink_master=http://beam-rest.isthmus-eu-west.svc:8081",
        "--parallelism=4",
        "--flink_submit_uber_jar",
        "--flink_job_server_jar=/opt/beam/job-server.jar",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
        "--sdk_container_image=registry.example/isthmus:1",
        "--temp_location=s3://isthmus-eu-west/beam",
    ],
}
SECTIONS = {
    "direct": {"profile": "direct", "running_mode": "multi_processing", "workers": 2},
    "flink": {
        "profile": "flink",
        "flink_master": "http://beam-rest.isthmus-eu-west.svc:8081",
        "submit_uber_jar": True,
        "job_server_jar": "/opt/beam/job-server.jar",
        "parallelism": 4,
        "environment_type": "EXTERNAL",
        "environment_config": "localhost:50000",
        "sdk_container_image": "registry.example/isthmus:1",
        "temp_location": "s3://isthmus-eu-west/beam",
    },
}


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By profile of eu-west: the deployment, and the pipelines of its zones."""
    from components.release import keys
    from pipeline import central, regional, starter
    from pipeline.config.load import load_deployment

    file = starter.write(tmp_path_factory.mktemp("engines") / "fleet", size="small")
    data = yaml.safe_load(file.read_text())
    built = {}
    for name, section in SECTIONS.items():
        for locale in data["locales"]:
            locale["beam"] = section if locale["name"] == "eu-west" else {}
        file.write_text(yaml.safe_dump(data))
        deployment = load_deployment(file)
        for locale in deployment.locales:
            keys.ensure_key_pair(locale.signing_key.file)
        zones = {locale.name: regional.build(deployment, locale.name) for locale in deployment.locales}
        built[name] = {"deployment": deployment, "zones": zones | {"central": central.build(deployment)}}
    return built


def _beam_specs(pipeline: Any) -> dict[str, Any]:
    """Node id to the executor spec that the launcher gets, of each node whose executor is a Beam executor."""
    from tfx.dsl.compiler import compiler
    from tfx.orchestration.local import runner_utils

    compiled = compiler.Compiler().compile(pipeline)
    config = runner_utils.extract_local_deployment_config(compiled)
    return {
        node.pipeline_node.node_info.id: runner_utils.extract_executor_spec(
            config, node.pipeline_node.node_info.id
        )
        for node in compiled.nodes
        if issubclass(_executor(pipeline, node.pipeline_node.node_info.id), _beam_executor())
    }


def _executor(pipeline: Any, node: str) -> type:
    (found,) = [component for component in pipeline.components if component.id == node]
    executor: type = found.executor_spec.executor_class
    return executor


def _beam_executor() -> type:
    from components.tfx_shim import BaseBeamExecutor

    return BaseBeamExecutor


@pytest.mark.parametrize("profile", ARGS)
def test_each_beam_executor_gets_exactly_the_options_of_its_zone(
    profile: str, pipelines: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tfx.orchestration.portable import beam_executor_operator, data_types

    steps = 0
    for zone, pipeline in pipelines[profile]["zones"].items():
        expected = ARGS[profile] if zone == "eu-west" else IN_MEMORY
        assert list(pipeline.beam_pipeline_args) == expected
        for node, spec in _beam_specs(pipeline).items():
            seen: list[Any] = []

            def look(self: Any, *_: Any, seen: list[Any] = seen) -> None:
                seen.append((self._beam_pipeline_args, self._make_beam_pipeline()))

            monkeypatch.setattr(_executor(pipeline, node), "Do", look)
            operator = beam_executor_operator.BeamExecutorOperator(spec)
            operator.run_executor(
                data_types.ExecutionInfo(
                    execution_id=1,
                    input_dict={},
                    output_dict={},
                    exec_properties={},
                    execution_output_uri=str(tmp_path / "executor_output"),
                    stateful_working_dir=str(tmp_path),
                    tmp_dir=str(tmp_path),
                )
            )
            ((args, made),) = seen
            assert args == expected
            options = made._options.get_all_options()
            assert options["runner"] == expected[0].partition("=")[2]
            assert options["temp_location"] == ("s3://isthmus-eu-west/beam" if len(expected) > 3 else None)
            steps += 1
    assert steps == 4  # SynthesizerTrainer and SyntheticGen of each restricted locale


def test_the_border_allows_a_locales_own_engine_and_no_other(pipelines: dict[str, dict[str, Any]]) -> None:
    from pipeline.border_model import BorderError
    from pipeline.border_view import prove

    found = pipelines["flink"]
    assert prove(found["deployment"], found["zones"]).nodes == 37
    for zone, place in {
        "ap-south": r"border: .*ap-south.*(s3://isthmus-eu-west/beam|flink_master|engine://)",
        "central": r"border: eu-west → beam → .* → central/.*beam_pipeline_args",
    }.items():
        thief = found["zones"][zone]
        before = thief._beam_pipeline_args
        thief._beam_pipeline_args = ARGS["flink"]
        with pytest.raises(BorderError, match=place):
            prove(found["deployment"], found["zones"])
        thief._beam_pipeline_args = before


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fleet for Kubeflow whose eu-west has the Flink profile, as data."""
    from tests.kubeflow.fleet import write

    made = write(tmp_path_factory.mktemp("compiled") / "fleet", "s3://exchange/releases")
    data = made.deployment
    data["locales"][[x["name"] for x in data["locales"]].index("eu-west")]["beam"] = SECTIONS["flink"]
    return made.config, data


def _load(fleet: Any, **changed: Any) -> Any:
    """The fleet's deployment, eu-west's section with changes."""
    from pipeline.config.load import load_deployment

    config, data = fleet
    locales = [x | {"beam": x["beam"] | changed} if x.get("beam") else x for x in data["locales"]]
    config.write_text(yaml.safe_dump(data | {"locales": locales}))
    return load_deployment(config)


def test_compiled_steps_are_told_the_options_of_their_zone(fleet: Any) -> None:
    from pipeline.compiler.compile import compile_deployment
    from pipeline.compiler.reading import leaves

    specs, _ = compile_deployment(_load(fleet))
    told = [
        (leaf.zone, leaf.told["beam"])
        for spec in specs
        for leaf in leaves(spec.pipeline)
        if "beam" in leaf.told
    ]
    expected = {"eu-west": ARGS["flink"], "ap-south": IN_MEMORY}
    assert sorted(zone for zone, _ in told) == ["ap-south", "ap-south", "eu-west", "eu-west"]
    assert all(args == expected[zone] for zone, args in told)


def test_a_compiled_step_keeps_to_its_zones_engine(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.border_model import BorderError
    from pipeline.compiler import zones
    from pipeline.compiler.compile import compile_deployment

    monkeypatch.setattr(zones, "beam_args", lambda deployment, zone: ARGS["flink"])
    with pytest.raises(
        BorderError, match=r"ap-south/SyntheticGen.* → beam_pipeline_args → .*isthmus-eu-west"
    ):
        compile_deployment(_load(fleet))


def test_a_pod_and_its_workers_meet_on_a_mounted_volume(fleet: Any) -> None:
    from pipeline.compiler.compile import compile_deployment

    folder = fleet[0].parent
    assert compile_deployment(_load(fleet, temp_location=f"{folder}/beam-eu"))[0]
    with pytest.raises(
        ConfigError, match=r"locale eu-west: beam\.temp_location: found /srv/beam, a path of this"
    ):
        compile_deployment(_load(fleet, temp_location="/srv/beam"))


def _own_runners(source: str) -> list[int]:
    """Lines that make a Beam pipeline or choose a runner by themselves."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            whole = ast.unparse(node.func)
            if name in ("TestPipeline", "DirectRunner", "FnApiRunner", "PortableRunner") or (
                name == "Pipeline" and ("beam" in whole or ("apache_beam" in source and whole == "Pipeline"))
            ):
                found.append(node.lineno)
    return found


def test_no_step_builds_a_runner_of_its_own() -> None:
    root = Path(__file__).parents[2]
    found = {
        str(file.relative_to(root)): lines
        for folder in ("components", "pipeline")
        for file in sorted((root / folder).rglob("*.py"))
        if (lines := _own_runners(file.read_text()))
    }
    assert set(found) == set(NOT_STEPS), found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import apache_beam as beam\nwith beam.Pipeline(runner='DirectRunner') as p: pass", [2]),
        ("from apache_beam import Pipeline\nPipeline()", [2]),
        ("from apache_beam.testing.test_pipeline import TestPipeline\n\nTestPipeline()", [3]),
        ("with self._make_beam_pipeline() as pipeline: pass", []),
        ("from components.tfx_shim import Pipeline\nPipeline(beam_pipeline_args=[])", []),
    ],
)
def test_a_runner_of_ones_own_is_seen(source: str, lines: list[int]) -> None:
    assert _own_runners(source) == lines
