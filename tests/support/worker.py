"""A worker's pipeline over a log in memory and a real engine: everything but Kafka and Faust."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rollups.clickhouse import ClickHouse
from rollups.delivery.claims import Claims
from rollups.delivery.markers import Markers
from rollups.installation import event_id_key
from rollups.model import DeadLetter
from rollups.pipeline import Pipeline
from rollups.settings import Settings
from rollups.transform.batch_transformer import BatchTransformer
from rollups.transform.identity import IdentityHasher
from rollups.transform.seen import Seen
from rollups.transform.timezones import TimeZones
from tests.support.log import MemoryLog

SOURCE = 7


class Harness:
    tasks: list[asyncio.Task[None]]

    def __init__(self, db: ClickHouse, log: MemoryLog, settings: Settings | None = None, source: int = SOURCE) -> None:
        self.db, self.log = db, log
        self.dead: list[tuple[int, DeadLetter]] = []
        settings = settings or Settings(batch_linger_ms=0)
        self.seen = Seen(db, source, "clicks")
        hasher = IdentityHasher(settings.visitor_secret, event_id_key(db))
        self.transformer = BatchTransformer(settings, source, TimeZones.from_database(db), self.seen, hasher)
        self.pipeline = Pipeline(settings, db, source, self.transformer, self.seen, self._bury)
        self.claims = Claims(Markers(db, source), log, self.pipeline)
        self.pipeline.claims = self.claims

    async def _bury(self, partition: int, letters: list[DeadLetter]) -> None:
        self.dead.extend((partition, letter) for letter in letters)

    async def claim(self, partitions: set[int]) -> None:
        self.claims.assigned(partitions)
        await until(lambda: all(lease.state != "claiming" for lease in self.claims.leases.values()))

    async def consume(self, most: int | None = None) -> None:
        """Feeds what the log holds to the pipeline until everything is applied."""
        while True:
            for partition in list(self.claims.leases):
                lease = self.claims.leases[partition]
                if lease.ready and lease.position and lease.position.offset < self.log.end(partition):
                    await self.pipeline.put(self.log.fetch(lease, most))
            await asyncio.sleep(0.01)
            leases = self.claims.leases.values()
            if all(lease.state == "halted" or lease.next == self.log.end(lease.partition) for lease in leases):
                return


@asynccontextmanager
async def harness(
    db: ClickHouse, log: MemoryLog, settings: Settings | None = None, source: int = SOURCE
) -> AsyncIterator[Harness]:
    worker = Harness(db, log, settings, source)
    tasks = worker.tasks = [asyncio.create_task(worker.claims.run()), asyncio.create_task(worker.pipeline.run())]
    try:
        yield worker
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Returns once the condition holds. Error: AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.01)
