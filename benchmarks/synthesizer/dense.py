"""Twenty-five columns of a busy server at one row a minute, simulated: a stand-in for dense telemetry.

Every column hangs on a few hidden ones (request load, the release that is running, batch jobs, a leaking
heap), in the ways that real monitoring shows and a linear Gaussian model does not: saturation, queueing,
noise that grows with the load, bursts with heavy tails, counters that are mostly zero, sawteeth, sensors
of few decimals. All of it is made up; no real row had a part in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.signal import lfilter

Floats = npt.NDArray[np.float64]

MINUTES_A_DAY = 1440
START = np.datetime64("2024-03-04T00:00:00", "us")
INTERVAL_S = 60.0


def simulate(rows: int, seed: int) -> pa.Table:
    """Rows of one server.

    Args:
      rows: One a minute.
      seed: Same seed, same rows.

    Returns:
      `timestamp` (text, UTC) and 25 float columns.
    """
    rng = np.random.default_rng(seed)
    minute = np.arange(rows)

    def smooth(tau: float) -> Floats:
        """A stationary Gaussian first-order series with time constant `tau` rows and variance 1."""
        decay = np.exp(-1 / tau)
        noise = rng.standard_normal(rows) * np.sqrt(1 - decay**2)
        out: Floats = lfilter([1], [1, -decay], noise, zi=[decay * rng.standard_normal()])[0]
        return out

    def follow(series: Floats, tau: float) -> Floats:
        """What an exponential average with time constant `tau` rows shows."""
        decay = np.exp(-1 / tau)
        out: Floats = lfilter([1 - decay], [1, -decay], series, zi=[decay * series[0]])[0]
        return out

    def noise(size: float) -> Floats:
        return size * rng.standard_t(5, rows)

    day = 2 * np.pi * minute / MINUTES_A_DAY
    weekend = ((minute // MINUTES_A_DAY) % 7 >= 5).astype(float)
    demand = 1.1 * np.sin(day - 2.2) + 0.4 * np.sin(2 * day + 0.5) - 0.6 * weekend
    demand += 0.45 * smooth(300) + 0.25 * smooth(18)
    bursts = lfilter([1], [1, -0.8], (rng.random(rows) < 0.008) * rng.pareto(2.5, rows))
    load = np.exp(0.55 * demand) * 120 * (1 + 0.25 * np.minimum(bursts, 8))
    release = np.cumsum(rng.random(rows) < 1 / 900) % 3
    cost = np.array([1.0, 1.25, 0.85])[release]
    job = (minute % 60 < 6 + 2 * (minute // 60 % 3)).astype(float) * (0.7 + 0.3 * rng.random(rows))

    requests = load * (1 + noise(0.04))
    user = 100 * np.tanh(load * cost / 420) + 9 * job + noise(1.0) * np.sqrt(load / 120)
    system = 3 + 0.11 * user + 2 * job + noise(0.35)
    wait = np.maximum(8 * job + 0.8 * np.maximum(bursts - 1, 0) + noise(0.5), 0)
    busy = np.clip(user + system + wait, 0, 100)
    leak = np.zeros(rows)
    for index in range(1, rows):  # a sawtooth: the heap fills with the load and is collected
        leak[index] = leak[index - 1] + 0.004 * load[index] + 0.05 * rng.standard_normal()
        if leak[index] > 300 or release[index] != release[index - 1]:
            leak[index] = 20 * rng.random()
    cached = 40 + 8 * smooth(500) + 0.01 * follow(load, 60)
    queue = np.exp(0.7 * np.log1p(np.maximum(busy - 45, 0) / 12) + noise(0.12)) - 0.9
    latency = (18 + 6 * cost) * (1 + 0.25 * queue) * np.exp(noise(0.03))
    columns = {
        "cpu_user": np.clip(user, 0, 100).round(2),
        "cpu_system": np.maximum(system, 0).round(2),
        "cpu_iowait": wait.round(2),
        "cpu_busy": busy.round(2),
        "load_1": follow(busy / 12 + 0.4 * queue, 1).round(2),
        "load_5": follow(busy / 12 + 0.4 * queue, 5).round(2),
        "load_15": follow(busy / 12 + 0.4 * queue, 15).round(2),
        "switches": 900 + 7.5 * requests * (1 + noise(0.05)) + 300 * job,
        "interrupts": 400 + 3.1 * requests * (1 + noise(0.03)),
        "memory_used": 35 + leak / 10 + 0.2 * follow(load, 20) / 10 + noise(0.05),
        "memory_cached": cached + noise(0.05),
        "swap_used": np.maximum(0, 2 * smooth(120) + leak / 150 - 3).round(1),
        "disk_read": np.exp(1.0 + 1.6 * job + 0.5 * smooth(8) + noise(0.3)),
        "disk_write": 2 + 0.02 * requests + 6 * job * np.exp(noise(0.2)) + np.abs(noise(0.4)),
        "disk_busy": np.clip(12 * job + 0.05 * requests + noise(1.5), 0, 100).round(1),
        "disk_queue": np.maximum(rng.poisson(0.1 + 1.5 * job + 0.002 * load), 0).astype(float),
        "net_in": 0.9 * requests * (1 + noise(0.06)) + 15 * bursts,
        "net_out": 6.2 * requests * (1 + noise(0.05)),
        "packets": 11 * requests * (1 + noise(0.03)) + 200 * job,
        "connections": np.rint(40 + 0.8 * follow(load, 10) + noise(2.0)),
        "retransmits": rng.poisson(0.3 + 0.004 * load + 0.8 * np.minimum(bursts, 10)).astype(float),
        "requests": requests,
        "latency_p50": latency.round(1),
        "latency_p99": (latency * (2.2 + 0.3 * queue) * np.exp(np.abs(noise(0.15)))).round(1),
        "errors": rng.poisson(0.05 + 0.02 * np.maximum(queue, 0) * load / 60).astype(float),
    }
    stamps = START + (minute * 60_000_000).astype("timedelta64[us]")
    return pa.table({"timestamp": [f"{stamp}Z" for stamp in stamps.astype("datetime64[s]")], **columns})
