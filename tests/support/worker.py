"""A worker's pipeline over a log in memory and a real engine: everything but Kafka and Faust."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rollups.clickhouse import ClickHouse
from rollups.installation import event_id_key
from rollups.model import FetchedBatch
from rollups.settings import Settings
from rollups.transform.identity import IdentityHasher
from rollups.worker_components import build_worker_components
from tests.support.memory_log import MemoryLog

SOURCE = 7


class Harness:
    """The components of a worker; `harness` runs them in `tasks`."""

    tasks: list[asyncio.Task[None]]

    def __init__(self, db: ClickHouse, log: MemoryLog, settings: Settings | None = None, source: int = SOURCE) -> None:
        self.db, self.log = db, log
        settings = settings or Settings(batch_linger_ms=0)
        hasher = IdentityHasher(settings.visitor_secret, event_id_key(db))
        components = build_worker_components(settings, db, source, hasher, lambda _leases, _intake: log)
        self.leases, self.intake, self.seen = components.leases, components.intake, components.seen
        self.transformer, self.reporter = components.transformer, components.reporter
        self.pipeline, self.claims = components.pipeline, components.claims

    async def claim(self, partitions: set[int]) -> None:
        self.leases.assign(partitions)
        await until(lambda: all(lease.state != "claiming" for lease in self.leases.held.values()))

    async def put(self, batch: FetchedBatch) -> None:
        """Takes a batch, as Faust's agent does."""
        if position := await self.intake.put(batch):
            await self.log.seek({batch.partition: position})

    async def consume(self, most: int | None = None) -> None:
        """Feeds the log to the pipeline until everything is applied."""
        while True:
            for partition in list(self.leases.held):
                lease = self.leases.held[partition]
                if lease.ready and lease.position and lease.position.offset < self.log.end(partition):
                    await self.put(self.log.fetch(lease, most))
            await asyncio.sleep(0.01)
            leases = self.leases.held.values()
            if all(lease.state == "halted" or lease.next == self.log.end(lease.partition) for lease in leases):
                return


@asynccontextmanager
async def harness(
    db: ClickHouse, log: MemoryLog, settings: Settings | None = None, source: int = SOURCE
) -> AsyncIterator[Harness]:
    worker = Harness(db, log, settings, source)
    tasks = worker.tasks = [
        asyncio.create_task(worker.claims.run_claims()),
        asyncio.create_task(worker.pipeline.run_pipeline()),
    ]
    try:
        yield worker
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Returns once the condition holds. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.01)
