"""The command line of a step's container, as `pipeline.compiler.lower` writes it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What a container is started with.

    Attributes:
      task: The component's name in the spec.
      step: Its step.
      role: `region`, `centre` or `report`.
      sharing: `restricted`, `open` or `central`.
      timeout_s: Seconds after which it is ended.
      store: JSON of `RegionStore`, or "".
      state: Where the zone keeps things from run to run, or "".
      executor_input: The launcher's JSON.
    """

    task: str
    step: str
    role: str
    sharing: str
    timeout_s: int
    store: str
    state: str
    executor_input: str


def parse(arguments: Sequence[str] | None = None) -> Arguments:
    """Parses the container's arguments; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.entrypoint", description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--step", required=True)
    parser.add_argument("--role", required=True, choices=("region", "centre", "report"))
    parser.add_argument("--sharing", required=True, choices=("restricted", "open", "central"))
    parser.add_argument("--timeout-s", type=int, default=0)
    parser.add_argument("--store", default="")
    parser.add_argument("--state", default="")
    parser.add_argument("--executor_input", required=True)
    return Arguments(**vars(parser.parse_args(arguments)))
