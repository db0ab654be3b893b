"""What Beam's pipeline options say of an engine: where its workers are and what it is told to touch.

Pure text: neither Beam nor an engine is imported, so that `isthmus validate` and the border check can ask.
Names and meanings of the options are those of `apache_beam/options/pipeline_options.py`, 2.59.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

#: Options that name where the engine keeps rows, models or plans.
PLACES = ("temp_location", "staging_location", "artifacts_dir")
#: Options that name the engine itself: whoever listens there is handed the work.
ENDPOINTS = (
    "flink_master",
    "spark_master_url",
    "spark_rest_url",
    "job_endpoint",
    "artifact_endpoint",
    "dataflow_endpoint",
)
#: Options that name programs: files that are read and hold none of a locale's rows.
PROGRAMS = (
    "setup_file",
    "requirements_file",
    "requirements_cache",
    "extra_package",
    "extra_packages",
    "sdk_location",
    "flink_job_server_jar",
    "spark_job_server_jar",
    "job_server_java_launcher",
)
_DIRECT = ("DirectRunner", "FnApiRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner")
_EMBEDDED = re.compile(r"(\[local\]|\[auto\]|local(\[.+\])?|embed)\Z")
_HOST_PORT = re.compile(r"([a-z]+://)?[A-Za-z0-9_.-]+:[0-9]+\Z")
_THIS_MACHINE = re.compile(r"([a-z]+://)?(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?(/.*)?\Z")


def named(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) of each pipeline option; "" for a flag, and as the name of a text without an option."""
    index = 0
    while index < len(args):
        text, index = str(args[index]), index + 1
        if not text.startswith("--"):
            yield "", text
            continue
        name, given, value = text[2:].partition("=")
        if not given and index < len(args) and not str(args[index]).startswith("--"):
            value, index = str(args[index]), index + 1
        yield name, value


def option(args: Sequence[str], name: str) -> str:
    """The value of an option, the last one where it stands twice; "" where it is not given."""
    return next((value for key, value in reversed(list(named(args))) if key == name), "")


def workers_elsewhere(args: Sequence[str]) -> bool:
    """Whether the workers may run where this machine's files are not seen.

    They run here with Beam's direct runner, in LOOPBACK environments, and on a Flink or Spark that the
    driver starts inside itself, whose environment is LOOPBACK unless told otherwise.
    """
    runner, environment = option(args, "runner").rpartition(".")[2], option(args, "environment_type")
    if not runner or runner in _DIRECT or environment == "LOOPBACK":
        return False
    if environment or option(args, "job_endpoint"):
        return True
    masters = {
        "FlinkRunner": option(args, "flink_master") or "[auto]",
        "SparkRunner": option(args, "spark_master_url") or "local[4]",
    }
    return not _EMBEDDED.match(masters.get(runner, ""))


def workers_in_process(args: Sequence[str]) -> bool:
    """Whether the workers are threads of the process that runs the pipeline: Beam's direct runner."""
    runner = option(args, "runner").rpartition(".")[2]
    local = not runner or runner in _DIRECT
    return local and option(args, "direct_running_mode") in ("", "in_memory", "multi_threading")


def grounds(args: Sequence[str]) -> list[str]:
    """What the options name outside this machine's programs: folders, buckets, engines.

    An engine is written `engine://host:port`, so that it compares as an address; one on this machine is
    none. Whatever option is not known here is taken for a place.
    """
    found: list[str] = []
    pool = option(args, "environment_type") == "EXTERNAL"
    for name, value in named(args):
        if not value or name in PROGRAMS:
            continue
        if name in ENDPOINTS:
            found += _engine(value)
        elif name == "environment_config":
            found += _engine(pool_address(value)) if pool else []
        elif name in ("environment_option", "environment_options"):
            found += _engine(value.partition("external_service_address=")[2])
        else:
            found.append(value)
    return found


def _engine(address: str) -> list[str]:
    """An engine as an address; none for one on this machine."""
    if not address or _EMBEDDED.match(address) or _THIS_MACHINE.match(address):
        return []
    return ["engine://" + (address.partition("://")[2] if "://" in address else address)]


def pool_address(config: str) -> str:
    """`host:port` of an EXTERNAL environment's configuration, plain or JSON with `url`, else ""."""
    if config.lstrip().startswith("{"):
        try:
            config = str(json.loads(config).get("url"))
        except ValueError:
            return ""
    return config if _HOST_PORT.match(config) else ""
