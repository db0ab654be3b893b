"""How long compiling for Kubeflow takes, and how large the spec becomes: 1, 3 and 50 regions.

    .venv/bin/python benchmarks/compile.py

`alike` are regions that are placed alike, so that their steps are the same components; `distinct` ones each
have nodes, Secrets, disks and a bucket of their own, as `residency: strict` demands. The first line pays for
the imports.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.support import deployments


def main() -> None:
    """Prints one line per size and kind."""
    started = time.perf_counter()
    from pipeline.compiler.compile import compile_deployment
    from pipeline.compiler.text import to_text
    from pipeline.config.load import load_deployment

    print(f"imports {time.perf_counter() - started:.1f} s")
    for count in (1, 3, 50):
        for alike in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                file = deployments.written(Path(folder), deployments.many(count, alike=alike))
                started = time.perf_counter()
                specs, _ = compile_deployment(load_deployment(file))
                size = len(to_text(specs[0]).encode())
                seconds = time.perf_counter() - started
            kind = "alike" if alike else "distinct"
            print(f"{count:3} regions, {kind:8} {seconds:5.1f} s {size / 1024:6.0f} KiB", flush=True)


if __name__ == "__main__":
    main()
