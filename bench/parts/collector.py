"""One collector process over a real broker: requests and events a second by size of the request."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from bench.brokers import Broker, default_kind, running_broker
from bench.data.events import events
from bench.data.topic import PARTITIONS
from bench.load.http_load import post
from bench.processes import Child, ask, clickmill, cpu_of, peak_rss_mb, wait_ready
from bench.report.results import medians, runs_of, show
from tests.support import free_port

_KEY = "admin key of the benchmarks"
_CONNECTIONS = {1: 32, 100: 8, 1000: 4}  # events a request → connections
_BODIES = {1: 20_000, 100: 500, 1000: 50}
_SECONDS = 2.0


def run(*, quick: bool = False, broker: str | None = None) -> dict[str, Any]:
    kind = broker or default_kind()
    with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as running:
        files = {size: _bodies(Path(name), size) for size in _BODIES}
        with _running_collector(running, Path(name)) as (child, url):
            _measure(child, running, url, files[1], 1, 1.0)  # warm-up
            rows: dict[int, list[dict[str, Any]]] = {size: [] for size in files}
            for _ in range(runs_of(quick)):
                for size, file in files.items():
                    rows[size].append(_measure(child, running, url, file, size, _SECONDS))
            peak = peak_rss_mb(child.pid)
    return {"broker": kind, "sizes": [medians(each) for each in rows.values()], "peak_rss_mb": peak}


def _bodies(directory: Path, size: int) -> Path:
    """Request bodies, one a line: single objects, or arrays."""
    file = directory / f"bodies-{size}"
    source = (value for _, value in events(_BODIES[size] * size))
    with file.open("wb") as lines:
        while chunk := list(islice(source, size)):
            lines.write((chunk[0] if size == 1 else b"[%b]" % b",".join(chunk)) + b"\n")
    return file


@contextmanager
def _running_collector(broker: Broker, directory: Path) -> Iterator[tuple[Child, str]]:
    port, url = free_port(), f"chdb://{directory}/engine"
    ask("bench.fresh", url)
    environment = {
        "CLICKMILL_KAFKA_URL": broker.address,
        "CLICKMILL_CLICKHOUSE_URL": url,
        "CLICKMILL_ADMIN_KEY": _KEY,
        "CLICKMILL_VISITOR_SECRET": "secret of the benchmarks",
        "CLICKMILL_PARTITIONS": str(PARTITIONS),
    }
    child = clickmill("collector", directory, environment, "collector", "--port", str(port))
    try:
        wait_ready(child, f"http://127.0.0.1:{port}")
        yield child, f"http://127.0.0.1:{port}/ingest/events"
    finally:
        child.stop()


def _measure(child: Child, broker: Broker, url: str, file: Path, size: int, seconds: float) -> dict[str, Any]:
    before, broker_before = cpu_of(child.pid), cpu_of(broker.pid)
    answer = post(url, file, _KEY, connections=_CONNECTIONS[size], seconds=seconds)
    used, broker_used = cpu_of(child.pid) - before, cpu_of(broker.pid) - broker_before
    taken = answer["requests"] * size
    return {
        "events_per_request": size,
        "connections": _CONNECTIONS[size],
        "requests_per_second": answer["requests_per_second"],
        "events_per_second": answer["requests_per_second"] * size,
        "events_per_cpu_second": taken / used.seconds,
        "requests_per_cpu_second": answer["requests"] / used.seconds,
        "p50_ms": answer["p50_ms"],
        "p99_ms": answer["p99_ms"],
        "max_ms": answer["max_ms"],
        "cpu_us_per_event": used.seconds / taken * 1e6,
        "broker_cpu_us_per_event": broker_used.seconds / taken * 1e6,
        "failed": answer["failed"],
        "client": answer["client"],
    }


def table(result: dict[str, Any]) -> None:
    show(
        f"collector: one process, {result['broker']}, {result['statistic']} of {result['runs']}",
        ["events a request", "connections", "requests/s", "events/s", "events/s a core", "p50 ms", "p99 ms", "failed"],
        [
            (
                f"{row['events_per_request']:,}",
                row["connections"],
                row["requests_per_second"],
                row["events_per_second"],
                row["events_per_cpu_second"],
                row["p50_ms"],
                row["p99_ms"],
                row["failed"],
            )
            for row in result["sizes"]
        ],
        [f"load by {result['sizes'][0]['client']} on the same machine; a core is a second of the collector's CPU"],
    )
