"""What exactly-once costs: the same pipeline with and without the protocol, a claim, and reading `seen` back.

`python -m bench.protocol [--events N]`, from the project root, with the extras embedded and dev. Without the protocol
means: no comparison in the view, no `seen`; decoding, marking of duplicates and the insert stay. Medians of five runs,
taken in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from ingest.settings import Settings
from rollups.memory import PartitionMemory, SeenKeys
from rollups.migrate import migrate
from rollups.seen import Seen
from rollups.store import Store
from tests.faults.views import COMPARE, FENCE, changed_view
from tests.support.log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, Harness, harness

PARTITIONS = 12
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=240_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as directory:
        store = Store(f"chdb://{directory}/engine")
        migrate(store)
        log = made_log(events)
        runs: dict[bool, list[float]] = {True: [], False: []}
        claims: list[float] = []
        for number in range(2 * RUNS):
            protected = number % 2 == 0
            seconds, claim = asyncio.run(consumed(store, log, protected))
            runs[protected].append(events / seconds)
            claims.append(claim * 1000 / PARTITIONS)
        exact, loose = median(runs[True]), median(runs[False])
        print(f"with the protocol     {exact:>10,.0f} events/s")
        print(f"without               {loose:>10,.0f} events/s   the protocol takes {1 - exact / loose:.1%}")
        print(
            f"a claim               {median(claims):>10.1f} ms a partition, {PARTITIONS} at once, nothing to read back"
        )
        print(f"reading `seen` back   {rebuilt(store) / 1e6:>10.1f} million keys/s")
        store.close()


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


async def consumed(store: Store, log: MemoryLog, protected: bool) -> tuple[float, float]:
    """(seconds for the whole log, seconds for the claim)"""
    for table in ("rollup", "seen"):
        await asyncio.to_thread(store.command, f"TRUNCATE TABLE {table}")
    with ExitStack() as changes:
        if not protected:
            changes.enter_context(changed_view(store, (COMPARE, ""), (FENCE, "1")))
        async with harness(store, log, Settings(batch_linger_ms=0, batch_max_events=24_000)) as worker:
            if not protected:
                worker.seen.write = lambda *_: None  # type: ignore[method-assign]
            started = time.perf_counter()
            await worker.claim(set(log.partitions))
            claimed = time.perf_counter()
            await fed(worker, log)
            return time.perf_counter() - claimed, claimed - started


async def fed(worker: Harness, log: MemoryLog) -> None:
    while any(lease.next < log.end(partition) for partition, lease in worker.claims.leases.items()):
        for partition, lease in worker.claims.leases.items():
            if lease.cursor and lease.cursor.position < log.end(partition):
                await worker.pipeline.put(log.fetch(lease, 2000))
        await asyncio.sleep(0.001)


def rebuilt(store: Store) -> float:
    """Keys a second that a claim reads back: five million of one partition, as 200 batches left them."""
    store.command("TRUNCATE TABLE seen")
    seen, dice = Seen(store, SOURCE, "clicks"), np.random.default_rng(1)
    for end in range(1, 201):
        keys = [dice.integers(1, 2**63, 12_500).astype(np.uint64) for _ in range(2)]
        kinds = zip(("id", "repeat"), keys, strict=True)
        seen.write([(0, end, [SeenKeys(kind, end // 70 * 30, some) for kind, some in kinds])])
    seconds = []
    for _ in range(RUNS):
        memory = PartitionMemory(Settings(), 10**6)
        started = time.perf_counter()
        seen.load(0, memory)
        seconds.append(time.perf_counter() - started)
    return sum(len(kind) for kind in memory.kinds.values()) / median(seconds)


if __name__ == "__main__":
    main()
