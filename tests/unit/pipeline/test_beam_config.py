"""The section `beam`: profiles, what cannot be, and each restricted locale's own engine."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import beam_engine
from components.errors import ConfigError
from pipeline.border import check
from pipeline.border_model import SYNTHETIC_GEN, BorderError, Node, Zone
from pipeline.config.beam import BeamSection
from pipeline.config.load import load_deployment
from pipeline.config.model import Deployment
from pipeline.config.resolve_beam import beam_args, beam_section, own_places


def deployment(
    folder: Path, beam: dict[str, Any] | None, own: dict[str, dict[str, Any]] | None = None
) -> Deployment:
    """Two restricted locales and an open one; `own` is the section of each."""
    locales = []
    for name, sharing in (("eu-west", "restricted"), ("ap-south", "restricted"), ("us-east", "open")):
        locale = {
            "name": name,
            "sharing": sharing,
            "source": {"pattern": f"{name}/*.csv"},
            "signing_key": {"env": "KEY"},
            "trusted_key": f"keys/{name}.pub",
            "beam": (own or {}).get(name, {}),
        }
        locales.append(locale | ({"privacy": {"gate": {}}} if sharing == "restricted" else {}))
    data = {
        "name": "fleet",
        "root": "runs",
        "dataset": {
            "series": ["asset"],
            "label": "label",
            "interval_s": 60,
            "features": [{"name": "temp"}],
            "targets": ["temp"],
        },
        "locales": locales,
        "exchange": {"uri": "s3://exchange/releases"},
        "central": {"quorum": 1, "test_set": {"pattern": "test.csv"}},
    }
    if beam is not None:
        data["beam"] = beam
    file = folder / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_deployment(file)


def refused(folder: Path, beam: dict[str, Any] | None, own: dict[str, dict[str, Any]] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        deployment(folder, beam, own)
    message = str(caught.value)
    assert "\n" not in message and str(folder / "isthmus.yaml") in message
    return message


FLINK = {
    "profile": "flink",
    "parallelism": 4,
    "submit_uber_jar": True,
    "job_server_jar": "/opt/beam/flink-job-server.jar",
    "environment_type": "EXTERNAL",
    "environment_config": "localhost:50000",
    "sdk_container_image": "registry.example/isthmus:1",
}
DATAFLOW = {
    "profile": "dataflow",
    "project": "p",
    "region": "europe-west1",
    "temp_location": "gs://eu/tmp",
    "staging_location": "gs://eu/staging",
    "service_account_email": "workers@p.iam.gserviceaccount.com",
    "setup_file": "/opt/isthmus/setup.py",
    "workers": 3,
}


def flink_of(locale: str, **more: Any) -> dict[str, Any]:
    master = f"http://isthmus-beam-rest.isthmus-{locale}.svc:8081"
    return {"flink_master": master, "temp_location": f"s3://isthmus-{locale}/beam", **more}


def both(make: Any) -> dict[str, dict[str, Any]]:
    return {name: make(name) for name in ("eu-west", "ap-south")}


def test_without_a_section_the_direct_runner_in_memory(tmp_path: Path) -> None:
    expected = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
    assert [beam_args(deployment(tmp_path, None), zone) for zone in ("eu-west", "central")] == [expected] * 2


def test_raw_args_stay_as_they_are(tmp_path: Path) -> None:
    raw = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert beam_args(deployment(tmp_path, {"args": raw}), "eu-west") == raw


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"profile": "direct"}, ["--runner=DirectRunner", "--direct_running_mode=in_memory"]),
        (
            {
                "profile": "direct",
                "running_mode": "multi_processing",
                "workers": 2,
                "args": ["--save_main_session"],
            },
            [
                "--runner=DirectRunner",
                "--direct_running_mode=multi_processing",
                "--direct_num_workers=2",
                "--save_main_session",
            ],
        ),
        (
            FLINK | {"flink_master": "http://flink:8081", "temp_location": "s3://t/x"},
            [
                "--runner=FlinkRunner",
                "--flink_master=http://flink:8081",
                "--parallelism=4",
                "--flink_submit_uber_jar",
                "--flink_job_server_jar=/opt/beam/flink-job-server.jar",
                "--environment_type=EXTERNAL",
                "--environment_config=localhost:50000",
                "--sdk_container_image=registry.example/isthmus:1",
                "--temp_location=s3://t/x",
            ],
        ),
        (
            {
                "profile": "spark",
                "job_endpoint": "spark-jobs:8099",
                "artifact_endpoint": "spark-jobs:8098",
                "environment_type": "DOCKER",
                "sdk_container_image": "isthmus:1",
                "temp_location": "s3://t/x",
            },
            [
                "--runner=SparkRunner",
                "--job_endpoint=spark-jobs:8099",
                "--artifact_endpoint=spark-jobs:8098",
                "--environment_type=DOCKER",
                "--environment_config=isthmus:1",
                "--sdk_container_image=isthmus:1",
                "--temp_location=s3://t/x",
            ],
        ),
        (
            DATAFLOW | {"args": ["--dataflow_service_options=enable_prime"]},
            [
                "--runner=DataflowRunner",
                "--project=p",
                "--region=europe-west1",
                "--service_account_email=workers@p.iam.gserviceaccount.com",
                "--num_workers=3",
                "--staging_location=gs://eu/staging",
                "--setup_file=/opt/isthmus/setup.py",
                "--temp_location=gs://eu/tmp",
                "--dataflow_service_options=enable_prime",
            ],
        ),
    ],
    ids=["direct", "processes", "flink", "spark", "dataflow"],
)
def test_a_profile_becomes_beams_options(section: dict[str, Any], expected: list[str]) -> None:
    assert list(BeamSection(**section).pipeline_args()) == expected


MASTER = {"flink_master": "http://f.example:8081", "temp_location": "s3://t/x"}
IMPOSSIBLE = [
    ({"args": []}, "name the runner"),
    ({"args": ["--save_main_session"]}, "name the runner"),
    ({"parallelism": 3}, "found parallelism without a profile"),
    ({"profile": "beam"}, "beam.profile: found 'beam'; allowed: 'direct', 'flink', 'spark' or 'dataflow'"),
    (
        {"profile": "direct", "args": ["--runner=FlinkRunner"]},
        "args name the runner FlinkRunner, and so does",
    ),
    ({"profile": "direct", "region": "eu"}, "region is no option of profile direct"),
    ({"profile": "direct", "workers": 2}, "allowed: multi_threading or multi_processing"),
    (
        {"profile": "direct", "args": ["--temp_location", "gs://x"]},
        "args: found 'gs://x'; allowed: '--name=value'",
    ),
    (
        {"profile": "direct", "setup_file": "setup.py"},
        "setup_file: found 'setup.py'; allowed: an absolute path",
    ),
    (
        {"args": ["--runner=DirectRunner", "--setup_file=./setup.py"]},
        "args --setup_file: found './setup.py'; allowed: an absolute path",
    ),
    (
        {"profile": "direct", "temp_location": "tmp"},
        "temp_location: found 'tmp'; allowed: an absolute path, or a URI",
    ),
    ({"profile": "flink", "job_server_jar": "x.jar"}, "job_server_jar: found 'x.jar'"),
    ({**FLINK, **MASTER, "args": ["--parallelism=2"]}, "args set --parallelism, and so does parallelism"),
    ({**FLINK, "temp_location": "s3://t/x"}, "profile flink needs flink_master or job_endpoint"),
    ({"profile": "flink", **MASTER}, "profile flink needs environment_type"),
    (
        {"profile": "flink", **MASTER, "environment_type": "EXTERNAL"},
        "environment_type EXTERNAL needs environment_config, found none; allowed: host:port of a worker pool",
    ),
    (
        {"profile": "flink", **MASTER, "environment_type": "EXTERNAL", "environment_config": "pool"},
        "environment_config of EXTERNAL: found 'pool'",
    ),
    (
        {"profile": "flink", **MASTER, "environment_type": "PROCESS", "environment_config": "/opt/boot"},
        "environment_config of PROCESS: allowed: JSON with 'command'",
    ),
    (
        {"profile": "flink", **MASTER, "environment_config": "x:1"},
        "environment_config needs environment_type",
    ),
    ({"profile": "flink", **MASTER, "environment_type": "DOCKER"}, "DOCKER needs sdk_container_image"),
    ({**FLINK, **MASTER, "job_endpoint": "jobs:8099"}, "flink_master and job_endpoint"),
    ({**FLINK, "flink_master": "http://f.example:8081"}, "temp_location is missing"),
    ({"args": ["--runner=FlinkRunner", "--flink_master=f.example:8081"]}, "temp_location is missing"),
    ({**DATAFLOW, "temp_location": None}, "Dataflow needs temp_location, found none"),
    ({**DATAFLOW, "region": None}, "Dataflow needs region"),
    ({"args": ["--runner=DataflowRunner", "--project=p", "--region=r"]}, "Dataflow needs temp_location"),
    ({**DATAFLOW, "temp_location": "s3://t/x"}, "allowed: gs://bucket/folder"),
    ({**DATAFLOW, "setup_file": None}, "Dataflow's workers do not have Isthmus"),
    ({"profile": "flink", "paralelism": 2}, "beam.paralelism: unknown key (did you mean 'parallelism'?)"),
]


@pytest.mark.parametrize(("section", "message"), IMPOSSIBLE, ids=itertools.count())
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, section: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path, section)


def test_a_locales_section_overrides_the_deployments_key_by_key(tmp_path: Path) -> None:
    own = both(flink_of) | {"ap-south": flink_of("ap-south", parallelism=9)}
    found = deployment(tmp_path, FLINK, own)
    assert "--parallelism=4" in beam_args(found, "eu-west") and "--parallelism=9" in beam_args(
        found, "ap-south"
    )
    assert "--temp_location=s3://isthmus-eu-west/beam" in beam_args(found, "eu-west")
    # Another profile starts afresh.
    other = deployment(tmp_path, FLINK, own | {"eu-west": {"profile": "direct"}})
    assert beam_args(other, "eu-west") == ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
    # The open locale and the centre have no Beam step: what the restricted ones add is not asked of them.
    assert beam_section(found, "us-east") == beam_section(found, "central")


def test_the_line_of_a_locales_own_section_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, FLINK, both(flink_of) | {"ap-south": {"temp_location": "s3://b/x"}})
    assert "locales[1].beam: profile flink needs flink_master" in message


SHARED = {
    "temp": (
        FLINK,
        lambda name: {"flink_master": f"http://f.{name}:8081"},
        {"temp_location": "s3://all/tmp"},
    ),
    "engine": (FLINK, lambda name: {"temp_location": f"s3://{name}/x"}, {"flink_master": "http://f:8081"}),
    "pool": (
        FLINK,
        lambda name: {"temp_location": f"s3://{name}/x", "flink_master": f"http://f.{name}:8081"},
        {"environment_config": "pool.shared.svc:50000"},
    ),
    "raw": (
        {},
        lambda name: {},
        {"args": ["--runner=DirectRunner", "--temp_location=gs://all/tmp"]},
    ),
}


@pytest.mark.parametrize("case", SHARED)
def test_what_the_deployment_names_for_all_is_no_place_for_a_restricted_locale(
    tmp_path: Path, case: str
) -> None:
    base, own, shared = SHARED[case]
    message = refused(tmp_path, base | shared, both(own))
    assert "locale eu-west: beam: " in message and "is named by the deployment for all" in message


def test_a_restricted_locale_names_its_dataflow_region_itself(tmp_path: Path) -> None:
    def own(name: str) -> dict[str, Any]:
        return {"temp_location": f"gs://{name}/tmp", "staging_location": f"gs://{name}/staging"}

    assert "locale eu-west: beam: Dataflow's region" in refused(tmp_path, DATAFLOW, both(own))
    found = deployment(tmp_path, DATAFLOW, both(lambda name: own(name) | {"region": name}))
    assert own_places(found, "ap-south") == ("gs://ap-south/staging", "gs://ap-south/tmp")


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({"temp_location": "s3://isthmus-eu-west/beam"}, "shared with ap-south"),
        ({"temp_location": "s3://isthmus-eu-west/beam/deeper"}, "shared with ap-south"),
        ({"temp_location": "s3://exchange/releases/tmp"}, "shared with the exchange"),
        ({"flink_master": "http://isthmus-beam-rest.isthmus-eu-west.svc:8081"}, "shared with ap-south"),
        ({"environment_config": "us-pool:50000"}, "shared with us-east"),
    ],
)
def test_places_of_restricted_locales_are_apart(tmp_path: Path, change: dict[str, Any], shared: str) -> None:
    own = both(flink_of) | {"us-east": {"environment_config": "us-pool:50000"}}
    assert deployment(tmp_path, FLINK, own)
    own["ap-south"] |= change
    message = refused(tmp_path, FLINK, own)
    assert shared in message and "border: " in message


def test_a_folder_below_a_locales_own_root_needs_no_section_of_its_own(tmp_path: Path) -> None:
    base = {"profile": "direct", "temp_location": str(tmp_path / "runs" / "eu-west" / "tmp")}
    message = refused(tmp_path, base)
    assert "locale ap-south: beam: " in message  # eu-west's root is no place for another


def _zones(properties: dict[str, Any], name: str = "eu") -> list[Zone]:
    node = Node("SyntheticGen", SYNTHETIC_GEN, {}, properties)
    zones = [
        Zone("eu", "restricted", "/runs/eu", places=("s3://eu/beam", "engine://flink.eu:8081")),
        Zone("us", "open", "/runs/us", places=("s3://us/beam",)),
    ]
    return [Zone(z.name, z.sharing, z.root, places=z.places, nodes=(node,) * (z.name == name)) for z in zones]


def test_the_border_knows_a_profiles_staging_bucket() -> None:
    def args(*texts: str) -> dict[str, Any]:
        return {"beam_pipeline_args": beam_engine.grounds(texts)}

    fine = args(
        "--temp_location=s3://eu/beam", "--flink_master=http://flink.eu:8081", "--setup_file=/opt/s.py"
    )
    assert check(_zones(fine), "s3://exchange").nodes == 1
    for text, named in {
        "--staging_location=s3://elsewhere/x": "beam_pipeline_args → s3://elsewhere/x",
        "--flink_master=http://flink.us:8081": "beam_pipeline_args → engine://flink.us:8081",
        "--unheard_of=s3://elsewhere/x": "beam_pipeline_args → s3://elsewhere/x",
    }.items():
        with pytest.raises(BorderError, match=named):
            check(_zones(args(text)), "s3://exchange")
    with pytest.raises(BorderError, match="eu → beam → s3://eu/beam → us/SyntheticGen"):
        check(_zones(args("--temp_location=s3://eu/beam/x"), "us"), "s3://exchange")


@pytest.mark.parametrize(
    ("args", "elsewhere"),
    [
        ((), False),
        (("--runner=DirectRunner", "--direct_num_workers=2"), False),
        (("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"), False),
        (("--runner=FlinkRunner",), False),
        (("--runner=FlinkRunner", "--flink_master=[local]"), False),
        (("--runner=FlinkRunner", "--flink_master=[local]", "--environment_type=EXTERNAL"), True),
        (
            ("--runner=apache_beam.runners.portability.flink_runner.FlinkRunner", "--flink_master", "f:1"),
            True,
        ),
        (("--runner=SparkRunner", "--spark_master_url=local[*]"), False),
        (("--runner=SparkRunner", "--spark_master_url=spark://s:7077"), True),
        (("--runner=DataflowRunner",), True),
    ],
)
def test_where_workers_are(args: tuple[str, ...], elsewhere: bool) -> None:
    assert beam_engine.workers_elsewhere(args) is elsewhere


def test_what_options_name() -> None:
    args = (
        "--setup_file=/opt/setup.py",
        "--temp_location",
        "s3://b/t",
        "--job_endpoint=localhost:8099",
        "--artifact_endpoint=jobs.eu:8098",
        "--environment_type=EXTERNAL",
        '--environment_config={"url": "pool.eu:50000"}',
        "--save_main_session",
    )
    assert beam_engine.grounds(args) == [
        "s3://b/t",
        "engine://jobs.eu:8098",
        "EXTERNAL",
        "engine://pool.eu:50000",
    ]
