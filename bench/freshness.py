"""How long after an event was sent the API serves it, at shares of what the worker can take.

`clickmill up` over the broker: worker, engine, collector and API in one process, as the embedded engine wants it. A
sender, a process of its own, keeps a steady rate. Beside it a marker event is sent straight to the broker five times a
second, always of one account with a user of its own; the hourly statistics of that account are asked ten times a second
over one connection. A marker is served once they count it, so half a tenth of a second of each figure is the asking.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from bench.brokers import Broker, default_kind, running_broker
from bench.processes import ROOT, Child, clickmill, cpu_of, wait_ready
from bench.results import DIRECTORY, show
from bench.topic import PARTITIONS, fill
from bench.workers import timed_run
from ingest.kafka import connection
from tests.support import free_port

SHARES = (0.1, 0.5, 0.8)
_ADMIN = "admin key of the benchmarks"
_ACCOUNT = 999_001
_SECONDS, _QUICK_SECONDS = 15.0, 4.0
_MARKER_EVERY, _ASK_EVERY = 0.2, 0.1
_SETTLE = 1.0  # seconds of load before the first marker
_PATIENCE = 60.0


def run(*, quick: bool = False, broker: str | None = None, capacity: float | None = None) -> dict[str, Any]:
    kind, seconds = broker or default_kind(), _QUICK_SECONDS if quick else _SECONDS
    with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as running:
        top = capacity or _measured(running, Path(name))
    rates = []
    for share in SHARES:
        with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as running:
            rates.append({"share": share, **_at(running, Path(name), int(top * share), seconds)})
    return {"broker": kind, "capacity": top, "seconds": seconds, "rates": rates}


def _measured(broker: Broker, directory: Path) -> float:
    """What the last full run of the pipeline says, else a short run's rate."""
    last = DIRECTORY / "pipeline.json"
    if last.exists():
        result = json.loads(last.read_text())
        if result["broker"] == broker.kind:
            return float(result["events_per_second"])
    return timed_run(broker, fill(broker, 200_000), directory / "capacity").rate


@contextmanager
def _up(broker: Broker, directory: Path) -> Iterator[tuple[Child, str]]:
    port = free_port()
    environment = {
        "CLICKMILL_KAFKA_URL": broker.address,
        "CLICKMILL_ADMIN_KEY": _ADMIN,
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


def _at(broker: Broker, directory: Path, rate: int, seconds: float) -> dict[str, Any]:
    with _up(broker, directory) as (child, url):
        key = _account_key(url)
        command = [sys.executable, "-m", "bench.sender", broker.address, str(rate), str(seconds + _SETTLE), "--ahead"]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
            assert sender.stdin is not None
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n", "the sender did not start"
            sender.stdin.write("go\n")
            sender.stdin.flush()
            before, started = cpu_of(child.pid), time.perf_counter()
            time.sleep(_SETTLE)
            delays = asyncio.run(_markers(broker, url, key, seconds))
            used = (cpu_of(child.pid) - before).seconds / (time.perf_counter() - started)
            answer = json.loads(sender.stdout.readline())
    delays.sort()
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


def _account_key(url: str) -> str:
    admin = httpx.Client(base_url=url, headers={"X-Api-Key": _ADMIN}, timeout=30)
    account = {"account_id": _ACCOUNT, "plan": "Business", "time_zone": "UTC"}
    admin.put("/admin/catalog", json={"accounts": [account]}).raise_for_status()
    made = admin.post("/admin/keys", json={"role": "account", "account_id": _ACCOUNT})
    return str(made.raise_for_status().json()["key"])


async def _markers(broker: Broker, url: str, key: str, seconds: float) -> list[float]:
    """Seconds from the sending of each marker to the first answer that counts it."""
    sent: list[float] = []
    delays: list[float] = []
    producer = AIOKafkaProducer(**connection(broker.settings()), acks="all")
    await producer.start()
    day = datetime.now(UTC)
    sending = asyncio.create_task(_send_markers(producer, day, seconds, sent))
    deadline = time.perf_counter() + seconds + _PATIENCE
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"APIKey {key}"}, timeout=30) as client:
        while not (sending.done() and len(delays) == len(sent)):
            asked = time.perf_counter()
            answer = await client.get("/api/statistics/v2/clicks-by-hour", params={"ymd": day.date().isoformat()})
            counted = sum(row["acesCnt"] for row in answer.raise_for_status().json()["result"])
            now = time.perf_counter()
            delays += [now - at for at in sent[len(delays) : counted]]
            if now > deadline:
                raise RuntimeError(f"{len(delays)} of {len(sent)} markers were served")
            await asyncio.sleep(max(0.0, asked + _ASK_EVERY - time.perf_counter()))
    await sending
    await producer.stop()
    return delays


async def _send_markers(producer: AIOKafkaProducer, day: datetime, seconds: float, sent: list[float]) -> None:
    """All of them have the hour of the first, so that midnight does not part them."""
    started, number = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        event = {
            "event_id": f"marker-{number}-{time.time_ns()}",
            "clicked_at": int(day.timestamp() * 1000),
            "account_id": _ACCOUNT,
            "domain": "marker.example",
            "link_id": "marker",
            "visitor_id": f"marker-{number}",
        }
        sent.append(time.perf_counter())
        await producer.send_and_wait("clicks", json.dumps(event).encode(), key=b"marker", partition=0)
        number += 1
        await asyncio.sleep(max(0.0, started + number * _MARKER_EVERY - time.perf_counter()))


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
    )
