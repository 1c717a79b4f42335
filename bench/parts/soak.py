"""A worker under steady load for ten minutes: its memory, and whether it grows.

Ids are kept for the horizon, so memory must grow until the log is that old. The slope is of the second half, by least
squares; beside it is the slope of the keys' memory, from the worker's metrics.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.brokers import Broker, default_kind, running_broker
from bench.data.topic import fill
from bench.processes import ROOT, ask, cpu_of, peak_rss_mb, rss_mb
from bench.report.results import show
from bench.workers import Worker, running_workers

_RATE, _SECONDS = 50_000, 600.0
_QUICK_SECONDS = 20.0
_KEYS = re.compile(r"^clickmill_remembered_(keys|bytes) (\S+)", re.MULTILINE)
_LAG_SECONDS = 120.0


def run(
    *, quick: bool = False, broker: str | None = None, seconds: float | None = None, horizon: int | None = None
) -> dict[str, Any]:
    kind, lasting = broker or default_kind(), seconds or (_QUICK_SECONDS if quick else _SECONDS)
    minutes = horizon or 60
    with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as running:
        fill(running, 0)
        url = f"chdb://{name}/engine"
        ask("bench.fresh", url)
        settings = {"CLICKMILL_DEDUPE_HORIZON_MINUTES": str(minutes), "MALLOC_ARENA_MAX": "2"}  # as in the image
        with running_workers(1, running, url, Path(name), settings) as [worker]:
            measured = _watched(worker, running, lasting)
        found = ask("bench.count", url)
    measured["counts_right"] = found["events"] == measured["sent"] and not found["audit"]
    return {"broker": kind, "events_per_second": _RATE, "horizon_minutes": minutes, **measured}


def _watched(worker: Worker, broker: Broker, seconds: float) -> dict[str, Any]:
    while not worker.look()[0]:
        time.sleep(0.1)
    command = [sys.executable, "-m", "bench.data.sender", broker.address, str(_RATE), str(seconds)]
    pid = worker.child.pid
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdout.readline()
        before, started = cpu_of(pid), time.perf_counter()
        sender.stdin.write("go\n")
        sender.stdin.flush()
        series = []
        while sender.poll() is None:
            series.append(_sample(worker, time.perf_counter() - started))
            print(json.dumps(series[-1]), flush=True)
            time.sleep(max(1.0, seconds / 120))
        cores = (cpu_of(pid) - before).seconds / (time.perf_counter() - started)
        answer = json.loads(sender.stdout.readline())
    deadline = time.monotonic() + _LAG_SECONDS
    while worker.look()[1] < answer["sent"] and time.monotonic() < deadline:
        time.sleep(0.2)
    half = series[len(series) // 2 :]
    return {
        "seconds": seconds,
        "sent": answer["sent"],
        "sender_behind_seconds": answer["most_behind_seconds"],
        "cores_used": cores,
        "peak_rss_mb": peak_rss_mb(pid),
        "slope_mb_per_minute": _slope(half, "rss_mb"),
        "slope_of_keys_mb_per_minute": _slope(half, "keys_mb"),
        "series": series,
    }


def _sample(worker: Worker, at: float) -> dict[str, float]:
    keys = {name: float(value) for name, value in _KEYS.findall(worker.metrics())}
    return {
        "seconds": round(at, 1),
        "rss_mb": round(rss_mb(worker.child.pid), 1),
        "keys": keys.get("keys", 0.0),
        "keys_mb": round(keys.get("bytes", 0.0) / 1e6, 1),
        "counted": worker.look()[1],
    }


def _slope(series: list[dict[str, float]], name: str) -> float:
    """Least squares, in units a minute."""
    if len(series) < 2:
        return 0.0
    minutes = np.array([row["seconds"] / 60 for row in series])
    return float(np.polyfit(minutes, np.array([row[name] for row in series]), 1)[0])


def table(result: dict[str, Any]) -> None:
    series = result["series"]
    show(
        f"soak: {result['events_per_second']:,} events/s for {result['seconds']:.0f} s, "
        f"horizon {result['horizon_minutes']} minutes",
        ["s", "RSS MB", "keys MB", "keys", "behind"],
        [
            (
                round(row["seconds"]),
                row["rss_mb"],
                row["keys_mb"],
                row["keys"],
                row["seconds"] * result["events_per_second"] - row["counted"],
            )
            for row in series[:: max(1, len(series) // 12)]
        ],
        [
            f"second half: {result['slope_mb_per_minute']} MB a minute, of it remembered keys "
            f"{result['slope_of_keys_mb_per_minute']}; peak {result['peak_rss_mb']} MB; {result['cores_used']} cores; "
            + ("every event is counted" if result["counts_right"] else "NOT every event is counted"),
        ],
    )
