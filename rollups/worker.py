"""A worker from start to stop: sessions with Kafka and ClickHouse, reopened with back-off after a failure."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter

from ingest.backoff import Backoff
from ingest.errors import ClickmillError
from ingest.kafka.admin import wait_for_broker
from rollups.clickhouse import ClickHouse, ClickHouseError, ClickHouseUnavailable
from rollups.model import State
from rollups.pipeline import WorkerStats
from rollups.session import Session
from rollups.settings import Settings

log = logging.getLogger(__name__)

_PAUSES = (0.5, 10.0)  # seconds between attempts: the first pause, the longest


class Worker:
    """Consumes the clicks topic as a member of the group, and keeps the rollups up to date."""

    def __init__(self, settings: Settings, db: ClickHouse, pauses: tuple[float, float] = _PAUSES) -> None:
        """`pauses` are the first and the longest one before a new session, in seconds."""
        self._settings = settings
        self._db = db
        self._pauses = pauses
        self._session: Session | None = None
        self._failed = ""  # why there is no session
        self.stats = WorkerStats()

    def problems(self) -> list[str]:
        """Why the worker is not counting, empty if it is."""
        if self._session is None:
            return [f"worker: not connected: {self._failed}" if self._failed else "worker: not connected yet"]
        return self._session.problems()

    async def run_worker(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set; a failure of Kafka or ClickHouse leads to a new session."""
        backoff = Backoff(*self._pauses)
        while not stop.is_set():
            opened = math.inf
            try:
                await wait_for_broker(self._settings, stop)
                await wait_for_clickhouse(self._db, stop)
                if stop.is_set():
                    return
                self._session = await Session.open(self._settings, self._db, self.stats)
                self._failed, opened = "", time.monotonic()
                await self._session.run_session(stop)
            except Exception as error:
                if time.monotonic() - opened > max(self._pauses):  # else it may fail like this each time
                    backoff.reset()
                self._failed = f"{type(error).__name__}: {error}"[:500]
                known = isinstance(error, ClickmillError | OSError)
                log.error("the worker failed, starting again in %.1f s: %s", backoff.seconds, error, exc_info=not known)
                await backoff.wait(stop)
            finally:
                self._session = None

    async def lag(self) -> int | None:
        """Unapplied records in the log, over the partitions of this worker; None without a session."""
        return await self._session.lag() if self._session else None

    @property
    def last_lag(self) -> int | None:
        """The lag some seconds ago; does not block."""
        return self._session.last_lag if self._session else None

    @property
    def late_seconds(self) -> float:
        """The least age of the oldest record that is not applied, over the partitions of this worker."""
        return self._session.late_seconds if self._session else 0.0

    def states(self) -> Counter[State]:
        """Assigned partitions by state."""
        return Counter(lease.state for lease in self._session.leases.held.values()) if self._session else Counter()

    def troubled(self) -> dict[int, str]:
        """Why assigned partitions are not counted, by partition: halted, failing again and again, or late."""
        return self._session.troubled() if self._session else {}

    def remembered(self) -> tuple[int, int]:
        """(keys, bytes) in memory to detect duplicates and repeats."""
        return self._session.remembered() if self._session else (0, 0)


async def wait_for_clickhouse(db: ClickHouse, stop: asyncio.Event) -> None:
    """Returns once ClickHouse responds and is migrated, or `stop` is set; logs what is missing meanwhile."""
    backoff = Backoff(*_PAUSES)
    while not stop.is_set():
        try:
            await asyncio.to_thread(db.query, "SELECT 1 FROM installation LIMIT 1")
            return
        except ClickHouseUnavailable as error:
            problem = str(error)
        except ClickHouseError as error:
            problem = f"ClickHouse at {db.address} is not ready; has `clickmill migrate` run? {error}"
        log.warning("%s; trying again in %.1f s", problem[:500], backoff.seconds)
        await backoff.wait(stop)
