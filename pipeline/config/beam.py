"""Beam's engine in a deployment: a typed profile, or the options as Beam takes them; imports no Beam.

A profile becomes the options of Beam 2.59 (`apache_beam/options/pipeline_options.py`); `args` follow them as
they stand. The deployment's section holds for every zone; a locale's own section overrides it key by key
(`pipeline.config.resolve_beam`), or as a whole where it names another profile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal

import pydantic

from components import beam_engine
from components.config_base import ComponentConfig

Profile = Literal["direct", "flink", "spark", "dataflow"]

#: Option of the section to option of Beam, per profile; the order is that of the arguments.
_SHARED = {
    "sdk_container_image": "sdk_container_image",
    "setup_file": "setup_file",
    "temp_location": "temp_location",
}
_PORTABLE = {
    "job_endpoint": "job_endpoint",
    "artifact_endpoint": "artifact_endpoint",
    "environment_type": "environment_type",
    "environment_config": "environment_config",
    "staging_location": "artifacts_dir",
}
OPTIONS: dict[str, dict[str, str]] = {
    "direct": {"running_mode": "direct_running_mode", "workers": "direct_num_workers", **_SHARED},
    "flink": {
        "flink_master": "flink_master",
        "parallelism": "parallelism",
        "submit_uber_jar": "flink_submit_uber_jar",
        "job_server_jar": "flink_job_server_jar",
        **_PORTABLE,
        **_SHARED,
    },
    "spark": {
        "spark_master": "spark_master_url",
        "job_server_jar": "spark_job_server_jar",
        **_PORTABLE,
        **_SHARED,
    },
    "dataflow": {
        "project": "project",
        "region": "region",
        "service_account_email": "service_account_email",
        "workers": "num_workers",
        "staging_location": "staging_location",
        **_SHARED,
    },
}
_RUNNERS = {
    "direct": "DirectRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}
_ARGUMENT = re.compile(r"--[a-z][A-Za-z0-9_-]*(=.*)?\Z", re.DOTALL)
_PLACE = re.compile(r"(/|[a-z][a-z0-9+.-]*://)")


class BeamSection(ComponentConfig):
    """Apache Beam's engine: `profile` with its options, or `args` that name a runner.

    Attributes:
      profile: `direct` is this process or processes of this machine. Null takes `args` as they stand, and
        the direct runner in memory where there are none.
      args: Further pipeline options, each `--name=value` or `--flag`; they reach every Beam step.
      running_mode: Of `direct`.
      workers: Of `direct`: threads or processes. Of `dataflow`: machines at the start.
      sdk_container_image: Image of the workers, with Isthmus in it. (`EXTERNAL` and `PROCESS` workers run in
        the image of whoever starts them.)
      setup_file: Absolute path of Isthmus' `setup.py`, for workers whose image does not have Isthmus.
      temp_location: Folder or URI that the steps and the workers both see; rows pass through it.
      staging_location: Where the engine keeps what is submitted: of `dataflow` a bucket, else the job
        server's folder, which the engine's workers must see.
      job_endpoint, artifact_endpoint: `host:port` of a job server that runs already.
      job_server_jar: Absolute path or URL of Beam's job server; without it Beam fetches it from Maven.
      environment_type: How the engine gets its Python workers.
      environment_config: Image (`DOCKER`), JSON with `command` (`PROCESS`), `host:port` of a worker pool
        (`EXTERNAL`).
      flink_master: `http://host:port` of Flink's REST service.
      submit_uber_jar: Sends pipeline and job server to Flink as one jar: no Java and no job server here.
      parallelism: Of Flink.
      spark_master: `spark://host:port`.
      project, region, service_account_email: Of Dataflow.
    """

    profile: Profile | None = None
    args: tuple[str, ...] = ()
    running_mode: Literal["in_memory", "multi_threading", "multi_processing"] | None = None
    workers: int | None = pydantic.Field(default=None, ge=1)
    sdk_container_image: str | None = pydantic.Field(default=None, min_length=1)
    setup_file: str | None = None
    temp_location: str | None = None
    staging_location: str | None = None
    job_endpoint: str | None = pydantic.Field(default=None, pattern=r"^([^/\s]+:[0-9]+|embed)$")
    artifact_endpoint: str | None = pydantic.Field(default=None, pattern=r"^[^/\s]+:[0-9]+$")
    job_server_jar: str | None = None
    environment_type: Literal["DOCKER", "PROCESS", "EXTERNAL", "LOOPBACK"] | None = None
    environment_config: str | None = pydantic.Field(default=None, min_length=1)
    flink_master: str | None = pydantic.Field(default=None, pattern=r"^https?://[^\s]+$")
    submit_uber_jar: bool = False
    parallelism: int | None = pydantic.Field(default=None, ge=1)
    spark_master: str | None = pydantic.Field(default=None, pattern=r"^spark://[^\s]+$")
    project: str | None = pydantic.Field(default=None, min_length=1)
    region: str | None = pydantic.Field(default=None, min_length=1)
    service_account_email: str | None = pydantic.Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")

    def given(self) -> dict[str, Any]:
        """The typed options that are set."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name not in ("profile", "args") and getattr(self, name) != field.default
        }

    def pipeline_args(self) -> tuple[str, ...]:
        """Beam's pipeline options."""
        if self.profile is None:
            # In memory: Prism, which newer Beams try first, would have to be downloaded.
            return self.args or ("--runner=DirectRunner", "--direct_running_mode=in_memory")
        given = self.given()
        if self.profile == "direct":
            given.setdefault("running_mode", "in_memory")
        if self.environment_type == "DOCKER" and self.sdk_container_image:
            # 2.59's portable runners read the image here, and `sdk_container_image` nowhere.
            given.setdefault("environment_config", self.sdk_container_image)
        found = [f"--runner={_RUNNERS[self.profile]}"]
        for name, beam_name in OPTIONS[self.profile].items():
            if name in given:
                value = given[name]
                found.append(f"--{beam_name}" if value is True else f"--{beam_name}={value}")
        return (*found, *self.args)

    @pydantic.model_validator(mode="after")
    def _check(self) -> BeamSection:
        problem = next(filter(None, (rule(self) for rule in _RULES)), None)
        if problem:
            raise ValueError(problem)
        return self


def _profile_and_args(beam: BeamSection) -> str | None:
    """What does not fit the profile, or cannot be read as a pipeline option."""
    given, args = beam.given(), beam.args
    for text in args:
        if not _ARGUMENT.match(text):
            return f"args: found '{text[:60]}'; allowed: '--name=value' or '--flag', one option in each text"
    runner = beam_engine.option(args, "runner")
    if beam.profile is None:
        if given:
            return f"found {next(iter(given))} without a profile; allowed: profile: {', '.join(OPTIONS)}"
        if not runner and (args or "args" in beam.model_fields_set):
            return "name the runner; allowed: '--runner=DirectRunner' or any other Beam runner"
        return None
    if runner:
        return f"args name the runner {runner}, and so does profile {beam.profile}; allowed: one of the two"
    options = OPTIONS[beam.profile]
    for name in given:
        if name not in options:
            return f"{name} is no option of profile {beam.profile}; allowed: {', '.join(sorted(options))}"
        if any(key == options[name] for key, _ in beam_engine.named(args)):
            return f"args set --{options[name]}, and so does {name}; allowed: one of the two"
    return None


def _paths(beam: BeamSection) -> str | None:
    """A step runs in a folder of its own: a relative path means nothing there."""
    programs = {
        "setup_file": beam.setup_file,
        "args --setup_file": beam_engine.option(beam.args, "setup_file"),
    }
    for name, path in programs.items():
        if path and not path.startswith("/"):
            return f"{name}: found '{path}'; allowed: an absolute path, such as /opt/isthmus/setup.py"
    jar = beam.job_server_jar
    if jar and not _PLACE.match(jar):
        return f"job_server_jar: found '{jar}'; allowed: an absolute path, or a URL"
    args = beam.args
    places = {"temp_location": beam.temp_location, "staging_location": beam.staging_location}
    places |= {f"args --{name}": beam_engine.option(args, name) for name in beam_engine.PLACES}
    for name, place in places.items():
        if place and not _PLACE.match(place):
            return f"{name}: found '{place}'; allowed: an absolute path, or a URI such as s3://bucket/tmp"
    return None


def _direct(beam: BeamSection) -> str | None:
    if beam.profile == "direct" and (beam.workers or 1) > 1 and beam.running_mode in (None, "in_memory"):
        return (
            f"workers: found {beam.workers} with running_mode in_memory, which has one; allowed: "
            "multi_threading or multi_processing"
        )
    return None


def _job_server(beam: BeamSection) -> str | None:
    """A job server that runs already was told its engine and its folder when it was started."""
    if beam.job_endpoint is None:
        return None
    for name in ("flink_master", "spark_master", "submit_uber_jar", "job_server_jar", "staging_location"):
        if name in beam.given():
            return (
                f"{name} and job_endpoint; allowed: one of the two, since a job server that runs already "
                "was told its engine and its folder at its start"
            )
    return None


def _environment(beam: BeamSection) -> str | None:
    kind, config = beam.environment_type, beam.environment_config
    if config is not None and kind in (None, "LOOPBACK"):
        return (
            f"environment_config needs environment_type DOCKER, PROCESS or EXTERNAL, found {kind or 'none'}"
        )
    if kind == "EXTERNAL" and config is not None and not beam_engine.pool_address(config):
        return f"environment_config of EXTERNAL: found '{config[:60]}'; allowed: host:port of a worker pool"
    if kind == "PROCESS" and config is not None:
        try:
            command = json.loads(config).get("command")
        except (ValueError, AttributeError):
            command = None
        if not command:
            return "environment_config of PROCESS: allowed: JSON with 'command', the worker's boot program"
    return None


#: Each gives the first rule broken, in words, or None.
_RULES: tuple[Callable[[BeamSection], str | None], ...] = (
    _profile_and_args,
    _paths,
    _direct,
    _job_server,
    _environment,
)


class WholeBeamSection(BeamSection):
    """What holds for one zone, its own section and the deployment's put together: nothing is missing."""

    @pydantic.model_validator(mode="after")
    def _check_whole(self) -> WholeBeamSection:
        problem = _missing(self)
        if problem:
            raise ValueError(problem)
        return self


def _missing(beam: BeamSection) -> str | None:
    args = beam.pipeline_args()

    def said(name: str) -> str:
        return beam_engine.option(args, name)

    runner = said("runner").rpartition(".")[2]
    if runner == "DataflowRunner":
        for name in ("project", "region", "temp_location"):
            if not said(name):
                return f"Dataflow needs {name}, found none; it has no default here"
        if not said("temp_location").startswith("gs://"):
            return f"Dataflow's temp_location: found '{said('temp_location')}'; allowed: gs://bucket/folder"
        if not (said("sdk_container_image") or said("setup_file")):
            return (
                "Dataflow's workers do not have Isthmus; allowed: sdk_container_image with it, or setup_file"
            )
    if beam.profile in ("flink", "spark"):
        master = f"{beam.profile}_master"
        if not (said("job_endpoint") or getattr(beam, master)):
            return f"profile {beam.profile} needs {master} or job_endpoint, found neither"
        if not said("environment_type"):
            return (
                f"profile {beam.profile} needs environment_type: Beam's default, DOCKER, wants a Docker "
                "daemon beside every worker; allowed: EXTERNAL, PROCESS, DOCKER or LOOPBACK"
            )
    config = said("environment_config") or said("environment_options") or said("environment_option")
    kind = said("environment_type")
    if kind in ("EXTERNAL", "PROCESS") and not config:
        what = "host:port of a worker pool" if kind == "EXTERNAL" else "JSON with 'command'"
        return f"environment_type {kind} needs environment_config, found none; allowed: {what}"
    if beam.profile and kind == "DOCKER" and not config:
        return "environment_type DOCKER needs sdk_container_image with Isthmus, found none"
    if beam_engine.workers_elsewhere(args) and not said("temp_location"):
        return (
            "the workers do not see this machine's files, and temp_location is missing; allowed: a folder or "
            "bucket that the steps and the workers both see, such as s3://bucket/tmp"
        )
    return None
