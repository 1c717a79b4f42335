"""A worker from start to stop: put together here, restarted with back-off when Kafka or ClickHouse fail it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any

from ingest.errors import ClickmillError
from ingest.event.addresses import AddressHasher
from ingest.kafka.admin import ensure_topics, wait_for_broker
from ingest.kafka.broker_time import append_time
from rollups.clickhouse import ClickHouse
from rollups.consumer.faust_app import FaustLog, build_app, send_record
from rollups.consumer.faust_transport import ClickApp
from rollups.consumer.topic import Topic
from rollups.delivery.claims import Claims, SourceReplaced
from rollups.delivery.dead_letters import publish_dead_letters
from rollups.delivery.markers import Markers
from rollups.delivery.server_identity import FEW_CONNECTIONS, MANY_CONNECTIONS, Endpoint
from rollups.delivery.touch import take_back, touch
from rollups.kafka_log.broker_clock import BrokerClock
from rollups.model import DeadLetter, Lease, State
from rollups.pipeline import Pipeline, WorkerStats
from rollups.reporting import Reporter
from rollups.settings import Settings
from rollups.transform.batch_transformer import BatchTransformer, PreparedBatch
from rollups.transform.identity import IdentityHasher
from rollups.transform.seen import Seen
from rollups.transform.timezones import TimeZones
from rollups.waiting import every, wait_for_clickhouse

log = logging.getLogger(__name__)

_TOUCH_EVERY = 5.0  # seconds between notes that a log's tail is empty
_REPORT_EVERY = 5.0
_ZONES_EVERY = 10.0
_FORGET_EVERY = 60.0
_SOURCE_EVERY = 5.0
_CLOCK_EVERY = 3600.0
_LAST_BACKOFF = 10.0
_STOP_SECONDS = 10.0


class Worker:
    """Consumes the clicks topic as a member of the group and keeps the rollups up to date until it is stopped."""

    def __init__(self, settings: Settings, db: ClickHouse) -> None:
        self._settings = settings
        self._db = db
        self._session: Session | None = None
        self._failed = ""  # why there is no session
        self.stats = WorkerStats()

    def problems(self) -> list[str]:
        """Why the worker is not counting, empty when it is."""
        if self._session is None:
            return [f"worker: not connected: {self._failed}" if self._failed else "worker: not connected yet"]
        return self._session.problems()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; failures of Kafka or ClickHouse lead to a fresh session."""
        backoff = 0.5
        while not stop.is_set():
            try:
                await wait_for_broker(self._settings, stop)
                await wait_for_clickhouse(self._db, stop)
                if stop.is_set():
                    return
                self._session = await Session.open(self._settings, self._db, self.stats)
                backoff, self._failed = 0.5, ""
                await self._session.run(stop)
            except Exception as error:
                self._failed = f"{type(error).__name__}: {error}"[:500]
                known = isinstance(error, ClickmillError | OSError)
                log.error("the worker failed, starting again in %.1f s: %s", backoff, error, exc_info=not known)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF)
            finally:
                self._session = None

    async def lag(self) -> int | None:
        """Records in the log that are not applied yet, over the partitions of this worker; None without a session."""
        return await self._session.lag() if self._session else None

    @property
    def last_lag(self) -> int | None:
        """The lag as it was some seconds ago."""
        return self._session.last_lag if self._session else None

    @property
    def late_seconds(self) -> float:
        """How old the oldest record that is not applied is, at least, over the partitions of this worker."""
        return self._session.late_seconds if self._session else 0.0

    def states(self) -> Counter[State]:
        """Assigned partitions by state."""
        return Counter(lease.state for lease in self._session.leases()) if self._session else Counter()

    def troubled(self) -> dict[int, str]:
        """Why assigned partitions are not counted, by partition: halted, failing again and again, or late."""
        return self._session.troubled() if self._session else {}

    def remembered(self) -> tuple[int, int]:
        """(keys, bytes) in memory to tell duplicates and repeats."""
        return self._session.remembered() if self._session else (0, 0)


class Session:
    """One Faust app with its pipeline and claims, for one incarnation of the topic."""

    def __init__(
        self,
        settings: Settings,
        db: ClickHouse,
        endpoint: Endpoint,
        topic: Topic,
        stats: WorkerStats,
        hasher: IdentityHasher,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._addresses = AddressHasher(settings.visitor_secret, keep=settings.keep_addresses)
        self._topic, source = topic, topic.source
        self.last_lag: int | None = None
        self._zones = TimeZones.from_database(db)
        self._markers = Markers(db, source)
        self._seen = Seen(db, source, settings.topic)
        self._clock = BrokerClock(partial(append_time, settings), db)
        self._transformer = BatchTransformer(settings, source, self._zones, self._seen, hasher, self._clock.now_ms)
        self._pipeline = Pipeline(settings, db, source, self._transformer, self._seen, self._bury)
        self._pipeline.stats = stats
        self._app: ClickApp = build_app(settings, self._pipeline)
        self._log = FaustLog(settings, self._app, self._identity, source)
        self._claims = Claims(self._markers, self._log, self._pipeline)
        self._pipeline.claims = self._claims
        self._reporter = Reporter(db, source, self._claims)
        self._pipeline.confirm = self._confirm
        self._app.on_assigned = self._claims.assigned
        self._app.on_out_of_range = self._out_of_range
        self._app.applied = self._applied
        self._app.on_partitions_revoked.connect(self._revoked)

    @classmethod
    async def open(cls, settings: Settings, db: ClickHouse, stats: WorkerStats) -> Session:
        await ensure_topics(settings)
        endpoint = Endpoint(db, settings.clickhouse_server)
        await asyncio.to_thread(endpoint.check, MANY_CONNECTIONS)
        hasher = await asyncio.to_thread(IdentityHasher.from_database, db, settings.visitor_secret)
        return cls(settings, db, endpoint, await Topic.open(settings, db), stats, hasher)

    async def _identity(self) -> int:
        """The source that the topic is by now, once the database was found to be the same server."""
        await asyncio.to_thread(self._endpoint.check, FEW_CONNECTIONS)
        return await self._topic.identity(self._claims.leases)

    async def _confirm(self, batches: list[PreparedBatch]) -> None:
        if await self._topic.identity(self._claims.leases) != self._topic.source:
            raise SourceReplaced(f"topic {self._settings.topic} was made again")
        self._topic.mark(batches)
        self._reporter.about_to_apply(batch.fetched for batch in batches)

    async def run(self, stop: asyncio.Event) -> None:
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
                    "claims": self._claims.run(),
                    "pipeline": self._pipeline.run(),
                    "touch": every(_TOUCH_EVERY, self._touch),
                    "report": every(_REPORT_EVERY, self._reporter.report),
                    "zones": every(_ZONES_EVERY, self._refresh_zones),
                    "forget": every(_FORGET_EVERY, self._forget),
                    "source": every(_SOURCE_EVERY, self._log.check_source),
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
        """Faust waits for its broker without end; what is not applied is read again, so nothing is lost by going."""
        try:
            await asyncio.wait_for(self._app.stop(), _STOP_SECONDS)
        except TimeoutError:
            log.warning("stopped without Faust's consent: Kafka does not answer")

    def problems(self) -> list[str]:
        if not self._claims.joined:
            return ["worker: not in the consumer group yet"]
        claiming = sum(not lease.ready for lease in self._claims.leases.values())
        troubled = [f"worker: partition {number} is not counted: {why}" for number, why in self.troubled().items()]
        return troubled or ([f"worker: {claiming} partitions are being claimed"] if claiming else [])

    async def lag(self) -> int | None:
        leases = self._claims.leases
        if not leases:
            return None
        bounds = await self._log.bounds(leases)
        self._reporter.note_ends({partition: end for partition, (_, end) in bounds.items()})
        return sum(max(0, bounds[partition][1] - lease.next) for partition, lease in leases.items())

    def leases(self) -> list[Lease]:
        return list(self._claims.leases.values())

    def troubled(self) -> dict[int, str]:
        return self._reporter.troubled()

    @property
    def late_seconds(self) -> float:
        return self._reporter.late_seconds()

    def remembered(self) -> tuple[int, int]:
        return self._transformer.remembered()

    async def _revoked(self, _app: Any, revoked: set[Any], **_: Any) -> None:
        partitions = list(self._claims.leases)
        self._claims.revoked()
        await self._log.forget(partitions)

    def _out_of_range(self, partitions: set[int]) -> None:
        leases = [lease for lease in self._claims.leases.values() if lease.partition in partitions]
        self._claims.reclaim(leases, "the broker refused the next offset", out_of_range=True)

    def _applied(self) -> dict[int, int]:
        return {lease.partition: lease.next for lease in self._claims.leases.values() if lease.ready}

    async def _bury(self, partition: int, letters: list[DeadLetter]) -> None:
        send = partial(send_record, self._app, self._settings.dead_topic)
        hidden = [letter.hide_addresses(self._addresses) for letter in letters]
        await publish_dead_letters(send, self._settings.topic, partition, hidden)

    async def _touch(self) -> None:
        self.last_lag = await self.lag()
        await touch(await self._log.empty_tails(), self._claims, self._markers, self._clock)

    async def _refresh_zones(self) -> None:
        await asyncio.to_thread(self._zones.refresh)

    async def _forget(self) -> None:
        await take_back(self._claims, self._markers, self._clock)
        await asyncio.to_thread(self._seen.forget, 2 * self._settings.dedupe_horizon_minutes + 5)
