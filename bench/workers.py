"""Times real workers over a filled topic: `clickmill worker`, each in its own process.

The clock starts at the last poll at which not every partition was ready (claimed, so that its first fetch could go
out), and stops at the first poll at which the workers' counters, raised after each durable insert, account for every
event. Both errors, about 0.01 s, are to the worker's disadvantage.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.brokers import Broker
from bench.data.expected import Counts
from bench.data.topic import PARTITIONS
from bench.processes import ask, clickmill, cpu_of, peak_rss_mb
from tests.support import free_port

_READY = re.compile(r'^clickmill_partitions\{state="ready"\} (\S+)', re.MULTILINE)
_EVENTS = re.compile(r"^clickmill_events_total\{.*\} (\S+)", re.MULTILINE)
_NEVER = 180.0  # seconds
_SHORT, _LONG = 0.02, 0.25  # seconds between polls, near the end and far from it


@dataclass(frozen=True, slots=True)
class Timed:
    """One run: seconds from ready to counted, CPU seconds and memory."""

    events: int
    seconds: float
    seconds_with_start: float
    user: float
    system: float
    broker_cpu: float
    peak_rss_mb: float
    problems: list[str]

    @property
    def rate(self) -> float:
        return self.events / self.seconds


class Worker:
    """A running `clickmill worker`, observed through its metrics."""

    def __init__(self, name: str, broker: Broker, clickhouse: str, directory: Path, settings: dict[str, str]) -> None:
        port = free_port()
        environment = {
            "CLICKMILL_METRICS_PORT": str(port),
            "CLICKMILL_KAFKA_URL": broker.address,
            "CLICKMILL_CLICKHOUSE_URL": clickhouse,
            "CLICKMILL_VISITOR_SECRET": "secret of the benchmarks",
            "CLICKMILL_SESSION_TIMEOUT_SECONDS": "6",
            **settings,
        }
        self.child = clickmill(name, directory, environment, "worker", "--port", "0")
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def look(self) -> tuple[int, int]:
        """(ready partitions, counted events)"""
        text = self.metrics()
        ready = _READY.search(text)
        return int(float(ready[1])) if ready else 0, sum(int(float(count)) for count in _EVENTS.findall(text))

    def metrics(self) -> str:
        """The metrics of the worker; empty before it listens."""
        self.child.check()
        try:
            return self._http.get("/metrics").text
        except httpx.TransportError:
            return ""

    def stop(self) -> None:
        self._http.close()
        self.child.stop()


@contextmanager
def running_workers(
    number: int, broker: Broker, clickhouse: str, directory: Path, settings: dict[str, str] | None = None
) -> Iterator[list[Worker]]:
    """Workers of one group over a migrated database. An embedded database takes one worker only."""
    workers = [Worker(f"worker{index}", broker, clickhouse, directory, settings or {}) for index in range(number)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def timed_run(
    broker: Broker,
    expected: Counts,
    directory: Path,
    *,
    workers: int = 1,
    clickhouse: str = "",
    engine_pid: int | None = None,
    settings: dict[str, str] | None = None,
) -> Timed:
    """Applies the whole topic to a fresh database: embedded in the directory, or the one of the URL and process."""
    directory.mkdir(parents=True, exist_ok=True)
    url = clickhouse or f"chdb://{directory}/engine"
    ask("bench.fresh", url)
    launched = time.perf_counter()
    with running_workers(workers, broker, url, directory, settings) as running:
        pids = [worker.child.pid for worker in running] + ([engine_pid] if engine_pid else [])
        started, already = _wait_ready(running)
        cpu, broker_cpu = [cpu_of(pid) for pid in pids], cpu_of(broker.pid)
        ended = _wait_counted(running, expected.events, started)
        used = [cpu_of(pid) - before for pid, before in zip(pids, cpu, strict=True)]
        broker_used = cpu_of(broker.pid) - broker_cpu
        peak = sum(map(peak_rss_mb, pids))
    found = ask("bench.count", url)
    return Timed(
        expected.events - already,
        ended - started,
        ended - launched,
        sum(cpu.user for cpu in used),
        sum(cpu.system for cpu in used),
        broker_used.seconds,
        peak,
        expected.problems(found) + found["audit"],
    )


def _wait_ready(workers: list[Worker]) -> tuple[float, int]:
    """The time of the last poll at which not all partitions were ready, and the events counted until then.

    One of several workers starts before the others have joined: there it is the first poll at which all were ready.
    """
    before = time.perf_counter()
    deadline = before + _NEVER
    while (looked := time.perf_counter()) < deadline:
        looks = [worker.look() for worker in workers]
        ready, counted = [look[0] for look in looks], sum(look[1] for look in looks)
        if sum(ready) >= PARTITIONS and all(ready):
            return (before, 0) if len(workers) == 1 else (time.perf_counter(), counted)
        before = looked
        time.sleep(_SHORT)
    raise RuntimeError("the workers did not become ready:\n" + "".join(w.child.output[-2000:] for w in workers))


def _wait_counted(workers: list[Worker], events: int, started: float) -> float:
    while (now := time.perf_counter()) < started + _NEVER:
        counted = sum(worker.look()[1] for worker in workers)
        if counted >= events:
            return time.perf_counter()
        left = (events - counted) * (now - started) / max(counted, 1)  # seconds, at the rate so far
        time.sleep(min(_LONG, max(_SHORT, left / 4)))
    raise RuntimeError(f"{counted} of {events} were counted:\n" + "".join(w.child.output[-2000:] for w in workers))
