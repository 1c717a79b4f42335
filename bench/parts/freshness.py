"""The time from sending an event until the API serves it, at several shares of the worker's capacity.

`clickmill up` over the broker: worker, engine, collector and API in one process, as the embedded engine requires. A
sender process keeps a steady rate. Beside it a marker event goes straight to the broker ten times a second, always of
one account, each with a new user. The hourly statistics of that account are polled ten times a second over one
connection. A marker is served once they count it, so polling adds 0.05 s on average.

At half of the capacity, under the same load but without markers, hours of today are then queried, each query once.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.brokers import Broker, default_kind, running_broker
from bench.data.topic import PARTITIONS, fill
from bench.load.markers import Markers
from bench.load.open_days import ADMIN, SECONDS, account_keys, asked, open_requests
from bench.processes import ROOT, Child, clickmill, cpu_of, wait_ready
from bench.report.results import directory, show
from bench.workers import timed_run
from tests.support import free_port

SHARES = (0.1, 0.5, 0.8)
_OPEN_SHARE = 0.5
_FIRST_ACCOUNT = 999_001
_CAPACITY_EVENTS = 200_000
_SECONDS, _QUICK_SECONDS = 10.5, 4.0
_SETTLE = 1.0  # seconds of load before the first marker


def run(*, quick: bool = False, broker: str | None = None, capacity: float | None = None) -> dict[str, Any]:
    kind, seconds = broker or default_kind(), _QUICK_SECONDS if quick else _SECONDS
    top = capacity or _measured(kind, quick)
    with (
        tempfile.TemporaryDirectory() as name,
        running_broker(kind, Path(name)) as running,
        running_up(running, Path(name)) as (child, url),
    ):
        rates = [
            {"share": share, **served(running, child, url, _FIRST_ACCOUNT + number, int(top * share), seconds)}
            for number, share in enumerate(SHARES)
        ]
        requests = open_requests(url)
        with _load(running, int(top * _OPEN_SHARE), SECONDS):
            opened = asked(requests)
    return {
        "broker": kind,
        "capacity": top,
        "seconds": seconds,
        "rates": rates,
        "open_share": _OPEN_SHARE,
        "open_days": opened,
    }


def _measured(kind: str, quick: bool) -> float:
    """The rate of the last run of the pipeline, else of a short run."""
    last = directory(quick) / "pipeline.json"
    if last.exists():
        result = json.loads(last.read_text())
        if result["broker"] == kind:
            return float(result["events_per_second"])
    with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as running:
        return timed_run(running, fill(running, _CAPACITY_EVENTS), Path(name) / "capacity").rate


@contextmanager
def running_up(broker: Broker, directory: Path) -> Iterator[tuple[Child, str]]:
    port = free_port()
    environment = {
        "CLICKMILL_KAFKA_URL": broker.address,
        "CLICKMILL_ADMIN_KEY": ADMIN,
        "CLICKMILL_RATE_LIMITS": "off",
        "CLICKMILL_DATA_DIR": str(directory / "up"),
        "CLICKMILL_PARTITIONS": str(PARTITIONS),
        "CLICKMILL_SESSION_TIMEOUT_SECONDS": "6",
    }
    child = clickmill("up", directory, environment, "up", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    try:
        wait_ready(child, url)
        yield child, url
    finally:
        child.stop()


def served(
    broker: Broker, child: Child, url: str, account: int, rate: int, seconds: float, *, hostile: bool = False
) -> dict[str, Any]:
    """Delays of markers beside so many events a second."""
    [key] = account_keys(url, [account])
    with _load(broker, rate, seconds + _SETTLE, *(["--hostile"] if hostile else [])) as sender:
        before, started = cpu_of(child.pid), time.perf_counter()
        delays = sorted(asyncio.run(Markers(broker, url, key, account).delays(seconds)))
        used = (cpu_of(child.pid) - before).seconds / (time.perf_counter() - started)
        assert sender.stdout is not None
        answer = json.loads(sender.stdout.readline())
    return {
        "events_per_second": rate,
        "sent_per_second": answer["sent"] / answer["seconds"],
        "sender_behind_seconds": answer["most_behind_seconds"],
        "markers": len(delays),
        "p50_seconds": delays[len(delays) // 2],
        "p99_seconds": delays[len(delays) * 99 // 100],
        "max_seconds": delays[-1],
        "cores_used": used,
    }


@contextmanager
def _load(broker: Broker, rate: int, seconds: float, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Sends events at a steady rate for so many seconds. Yields after the first."""
    command = [sys.executable, "-m", "bench.data.sender", broker.address, str(rate), str(seconds), "--ahead", *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        assert sender.stdout.readline() == "ready\n", "the sender did not start"
        sender.stdin.write("go\n")
        sender.stdin.flush()
        time.sleep(_SETTLE)
        try:
            yield sender
        finally:
            sender.terminate()


def table(result: dict[str, Any]) -> None:
    show(
        f"freshness: event sent → served by the API, `clickmill up` over {result['broker']}; "
        f"capacity {result['capacity']:,} events/s",
        ["share", "events/s", "p50 s", "p99 s", "max s", "markers", "cores used"],
        [
            (
                f"{row['share']:.0%}",
                row["events_per_second"],
                row["p50_seconds"],
                row["p99_seconds"],
                row["max_seconds"],
                row["markers"],
                row["cores_used"],
            )
            for row in result["rates"]
        ],
        [
            f"open days at {result['open_share']:.0%}: "
            + "; ".join(
                f"{load['p50']:.0f} / {load['p99']:.0f} / {load['max']:.0f} ms (p50 / p99 / max), {connections} conn."
                for connections, load in result["open_days"].items()
            )
        ],
    )
