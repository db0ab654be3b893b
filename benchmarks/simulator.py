"""Prints how many rows a second the simulator makes and writes on one core. Asserts nothing.

Run: python -m benchmarks.simulator [--days 60]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

# One core: numeric libraries read these when they are imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from components.simulator.config import FleetConfig  # noqa: E402
from components.simulator.core.fleet import simulate_fleet  # noqa: E402
from components.simulator.presets import default_fleet  # noqa: E402


def main() -> None:
    """Simulates one locale of the large fleet: few assets and many, since the loop is over time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60, help="days a locale")
    days = parser.parse_args().days
    template = default_fleet("large")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for assets in (1, 3, 20):
        locale = template.locales[1].model_copy(update={"assets": assets, "days": days})
        fleet = FleetConfig(locales=(locale,), anomalies=template.anomalies)
        with tempfile.TemporaryDirectory() as folder:
            start, start_cpu = time.perf_counter(), time.process_time()
            report = simulate_fleet(fleet, folder, test_days=0)
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
        rows = report["locales"][0]["files"][0]["rows"]
        print(
            f"{assets:3d} assets x {days} days at {locale.interval_s} s: {rows:,} rows simulated and "
            f"written as CSV in {seconds:.1f} s ({cpu_s:.1f} s of CPU): {rows / seconds * 60:,.0f} rows a "
            f"minute, {rows / cpu_s * 60:,.0f} a CPU minute"
        )


if __name__ == "__main__":
    main()
