"""The cost of exactly-once: the pipeline with and without the protocol, a claim, and reading `seen` back.

Without the protocol: no comparison in the view and no `seen`, but decoding, deduplication and the insert.
Everything in one process over a log in memory; medians of runs taken in turn.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from bench.report.results import runs_of, show
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse
from rollups.kafka_log.broker_clock import wall_ms
from rollups.migrations.migrate import migrate
from rollups.transform.dedupe import DedupeState, SeenKeys
from rollups.transform.seen import Seen
from tests.faults.views import COMPARE, FENCE, changed_view
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, Harness, harness

PARTITIONS = 12
_EVENTS = 160_000
_REBUILDS = 3


def run(*, quick: bool = False) -> dict[str, Any]:
    events, times = (60_000, 1) if quick else (_EVENTS, runs_of(quick))
    with tempfile.TemporaryDirectory() as directory:
        db = ClickHouse(f"chdb://{directory}/engine")
        migrate(db)
        log = made_log(events)
        rates: dict[bool, list[float]] = {True: [], False: []}
        claims: list[float] = []
        for number in range(2 * times):
            protected = number % 2 == 0
            seconds, claim = asyncio.run(consumed(db, log, protected))
            rates[protected].append(events / seconds)
            claims.append(claim * 1000 / PARTITIONS)
        keys = rebuilt(db)
        db.close()
    exact, loose = median(rates[True]), median(rates[False])
    return {
        "events": events,
        "with_protocol_per_second": exact,
        "without_per_second": loose,
        "cost": 1 - exact / loose,
        "claim_ms_per_partition": median(claims),
        "seen_keys_read_per_second": keys,
    }


def table(result: dict[str, Any]) -> None:
    show(
        f"protocol: what exactly-once costs, {result['statistic']} of {result['runs']}",
        ["", "", "of it"],
        [
            ("with the protocol, events/s", result["with_protocol_per_second"], ""),
            ("without, events/s", result["without_per_second"], f"the protocol takes {result['cost']:.1%}"),
            ("a claim, ms a partition", result["claim_ms_per_partition"], f"{PARTITIONS} at once, nothing to read"),
            ("reading `seen` back, keys/s", result["seen_keys_read_per_second"], ""),
        ],
    )


def made_log(events: int) -> MemoryLog:
    log = MemoryLog({partition: [] for partition in range(PARTITIONS)})
    for number in range(events):
        event: dict[str, Any] = {
            "event_id": f"{number:032x}",
            "clicked_at": LOG_TIME_MS + number,
            "account_id": 1 + number % 100,
            "domain": "go.example",
            "link_id": f"link{number % 20_000}",
            "visitor_id": f"visitor-{number % 300_000}",
        }
        log.append(number % PARTITIONS, event)
    return log


async def consumed(db: ClickHouse, log: MemoryLog, protected: bool) -> tuple[float, float]:
    """(seconds for the whole log, seconds for the claim)"""
    for table in ("rollup", "seen"):
        await asyncio.to_thread(db.command, f"TRUNCATE TABLE {table}")
    with ExitStack() as changes:
        if not protected:
            changes.enter_context(changed_view(db, (COMPARE, ""), (FENCE, "1")))
        async with harness(db, log, Settings(batch_linger_ms=0, batch_max_events=24_000)) as worker:
            if not protected:
                worker.seen.write = lambda *_: None  # type: ignore[method-assign]
            started = time.perf_counter()
            await worker.claim(set(log.partitions))
            claimed = time.perf_counter()
            await fed(worker, log)
            return time.perf_counter() - claimed, claimed - started


async def fed(worker: Harness, log: MemoryLog) -> None:
    while any(lease.next < log.end(partition) for partition, lease in worker.leases.held.items()):
        for partition, lease in worker.leases.held.items():
            if lease.position and lease.position.offset < log.end(partition):
                await worker.put(log.fetch(lease, 2000))
        await asyncio.sleep(0.001)


def rebuilt(db: ClickHouse) -> float:
    """Keys a second that a claim reads back: five million of one partition, from 200 batches."""
    db.command("TRUNCATE TABLE seen")
    seen, dice = Seen(db, SOURCE, "clicks"), np.random.default_rng(1)
    for end in range(1, 201):
        keys = [dice.integers(1, 2**63, 12_500).astype(np.uint64) for _ in range(2)]
        kinds = zip(("id", "repeat"), keys, strict=True)
        seen.write([(0, end, [SeenKeys(kind, end // 70 * 30, some) for kind, some in kinds])])
    seconds = []
    for _ in range(_REBUILDS):
        memory = DedupeState(Settings(), 10**6)
        started = time.perf_counter()
        seen.load(0, memory, wall_ms())
        seconds.append(time.perf_counter() - started)
    return sum(len(kind) for kind in memory.kinds.values()) / median(seconds)
