"""Runs a compiled pipeline: python -m tests.kubeflow.emulation pipeline.yaml --s3 http://127.0.0.1:9000 …"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.kubeflow.emulation import Backend, DriverError, SpecError


def _parameter(text: str) -> tuple[str, Any]:
    """name=value; the value is JSON where it can be, else text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 where the run succeeded, 1: it failed, 2: it was refused, 130: it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.kubeflow.emulation", description=__doc__)
    parser.add_argument("spec", type=Path, help="what `isthmus compile` wrote")
    parser.add_argument("--s3", required=True, metavar="URL", help="an S3 server")
    parser.add_argument("--root", default="minio://mlpipeline/v2/artifacts", help="pipeline root")
    parser.add_argument("--state", type=Path, default=Path("kfp-state"), help="metadata, cache, volumes")
    parser.add_argument("--work", type=Path, default=Path("kfp-work"), help="pods and logs")
    parser.add_argument("--parameter", "-p", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--secrets", type=Path, help="YAML: secret name, key, value")
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--release", default="2.14", help="of the back end")
    parser.add_argument("--loose", action="store_true", help="takes every spec that the back end takes")
    parser.add_argument("--keep-pods", action="store_true")
    parser.add_argument("--hollow", action="store_true", help="the pipeline's shape without its work")
    given = parser.parse_args(arguments)
    backend = Backend(
        given.s3,
        given.state,
        given.work,
        given.parallel,
        secrets=yaml.safe_load(given.secrets.read_text()) if given.secrets else None,
        release=given.release,
        strict=not given.loose,
        keep_pods=given.keep_pods,
        hollow=given.hollow,
    )
    # Pods end with this process. A shell starts a command in the background with SIGINT ignored.
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in handled}
    try:
        run = backend.run(given.spec, dict(_parameter(text) for text in given.parameter), given.root)
    except (SpecError, DriverError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print(run.table())
    return 0 if run.state == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
