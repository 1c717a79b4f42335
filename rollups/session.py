"""One session of a worker: builds its components for one incarnation of the topic, and runs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ingest.kafka.admin import ensure_topics
from ingest.kafka.broker_time import publish_clock_note
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.consumer.faust_app import FaustLog, build_app
from rollups.consumer.topic import Topic
from rollups.delivery.leases import Leases
from rollups.delivery.markers import note_empty_tails, reclaim_future_watermarks
from rollups.delivery.server_identity import MANY_CONNECTIONS, SingleServerGuard
from rollups.delivery.shard import shard_of
from rollups.kafka_log.broker_clock import BrokerClock
from rollups.pipeline import Intake, WorkerStats
from rollups.settings import Settings
from rollups.transform.identity import IdentityHasher
from rollups.worker_components import WorkerComponents, build_worker_components

log = logging.getLogger(__name__)

_EMPTY_TAILS_EVERY = 5.0  # seconds between notes that a log's tail is empty
_REPORT_EVERY = 5.0
_ZONES_EVERY = 10.0
_FORGET_EVERY = 60.0
_SOURCE_EVERY = 5.0
_REPLICA_EVERY = 5.0
_CLOCK_EVERY = 3600.0
_STOP_SECONDS = 10.0


class Session:
    """A worker's components with a Faust app, from start to failure or stop."""

    def __init__(
        self, settings: Settings, topic: Topic, clock: BrokerClock, components: WorkerComponents[FaustLog]
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._clock = clock
        self._components = components
        self._app = components.log.app
        self.leases = components.leases
        self.last_lag: int | None = None

    @classmethod
    async def open(cls, settings: Settings, db: ClickHouse, stats: WorkerStats) -> Session:
        """Connects. Raises ClickHouseError, ConnectionError and SeveralServers."""
        await ensure_topics(settings)
        guard = SingleServerGuard(db, settings.clickhouse_server)
        await asyncio.to_thread(guard.check, MANY_CONNECTIONS)
        shard = await asyncio.to_thread(shard_of, db)
        hasher = await asyncio.to_thread(IdentityHasher.from_database, db, settings.visitor_secret)
        topic = await Topic.open(settings, db)
        clock = BrokerClock(partial(publish_clock_note, settings), db)

        def connect(leases: Leases, intake: Intake) -> FaustLog:
            return FaustLog(settings, build_app(settings, leases, intake, shard), guard, topic)

        components = build_worker_components(
            settings, db, topic.source, hasher, connect, now_ms=clock.now_ms, stats=stats
        )
        return cls(settings, topic, clock, components)

    async def run_session(self, stop: asyncio.Event) -> None:
        tasks: list[asyncio.Task[Any]] = []
        try:
            await self._refresh_zones()
            await self._clock.learn()
            await self._app.start()
            tasks += [
                asyncio.create_task(work, name=name)
                for name, work in {
                    "stop": stop.wait(),
                    "crash": self._app._crashed.wait(),
                    "claims": self._components.claims.run_claims(),
                    "pipeline": self._components.pipeline.run_pipeline(),
                    "empty tails": every(_EMPTY_TAILS_EVERY, self._note_empty_tails),
                    "report": every(_REPORT_EVERY, self._components.reporter.report),
                    "zones": every(_ZONES_EVERY, self._refresh_zones),
                    "forget": every(_FORGET_EVERY, self._forget),
                    "source": every(_SOURCE_EVERY, self._components.log.check_source),
                    "replica": every(_REPLICA_EVERY, self._refresh_replica),
                    "clock": every(_CLOCK_EVERY, self._clock.learn),
                }.items()
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
            if self._app.crashed:
                raise ConnectionError(f"Faust stopped: {self._app.crash_reason!r}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop_app()
            await self._topic.close()

    async def _stop_app(self) -> None:
        """Stops the app with a time limit: Faust waits for its broker forever. Unapplied records are read again."""
        try:
            await asyncio.wait_for(self._app.stop(), _STOP_SECONDS)
        except TimeoutError:
            log.warning("stopped without Faust's consent: Kafka does not answer")

    def problems(self) -> list[str]:
        if not self.leases.joined:
            return ["worker: not in the consumer group yet"]
        claiming = sum(not lease.ready for lease in self.leases.held.values())
        troubled = [f"worker: partition {p} is not counted: {reason}" for p, reason in self.troubled().items()]
        return troubled or ([f"worker: {claiming} partitions are being claimed"] if claiming else [])

    async def lag(self) -> int | None:
        leases = self.leases.held
        if not leases:
            return None
        bounds = await self._components.log.bounds(leases)
        self._components.reporter.note_ends({partition: end for partition, (_, end) in bounds.items()})
        return sum(max(0, bounds[partition][1] - lease.next) for partition, lease in leases.items())

    def troubled(self) -> dict[int, str]:
        return self._components.reporter.troubled()

    @property
    def late_seconds(self) -> float:
        return self._components.reporter.late_seconds()

    def remembered(self) -> tuple[int, int]:
        return self._components.transformer.remembered()

    async def _note_empty_tails(self) -> None:
        self.last_lag = await self.lag()
        tails = await self._components.log.empty_tails()
        await note_empty_tails(tails, self.leases, self._components.markers, self._clock.now_ms)

    async def _refresh_zones(self) -> None:
        await asyncio.to_thread(self._components.zones.refresh)

    async def _refresh_replica(self) -> None:
        await asyncio.to_thread(self._components.fences.replica.refresh)

    async def _forget(self) -> None:
        await reclaim_future_watermarks(self.leases, self._components.markers, self._clock.now_ms)
        await asyncio.to_thread(self._components.seen.forget, 2 * self._settings.dedupe_horizon_minutes + 5)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Repeats the work; if ClickHouse or Kafka is away, logs it and tries again next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except (ClickHouseError, ConnectionError) as error:
            log.warning("%s", error)
