"""The time of the broker as a worker knows it: never ahead of it, so that no watermark has a time in the future."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from rollups.clickhouse import ClickHouse

log = logging.getLogger(__name__)

_ASKING_SECONDS = 5.0
# A clock that is never set, and that goes on while the machine sleeps, if the system has one.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    return time.clock_gettime_ns(_STEADY) // 1_000_000


class BrokerClock:
    """Counts on from the time at which the broker appended a note.

    `publish_note` publishes a note and returns that time in ms, or None if producers set the timestamps of its topic:
    then the time is the lesser of the local time and that of ClickHouse. It raises ConnectionError.
    """

    def __init__(self, publish_note: Callable[[], Awaitable[int | None]], db: ClickHouse) -> None:
        self._publish_note = publish_note
        self._db = db
        self._broker_ahead: int | None = None  # ms ahead of the steady clock, at least
        self._clickhouse_ahead: int | None = None

    def now_ms(self) -> int:
        """Milliseconds since 1970. Does not block."""
        if self._broker_ahead is not None:
            return steady_ms() + self._broker_ahead
        return wall_ms() if self._clickhouse_ahead is None else min(wall_ms(), steady_ms() + self._clickhouse_ahead)

    async def learn(self) -> None:
        """Asks the broker again. If it does not respond nothing changes. Raises ClickHouseError."""
        try:
            appended = await asyncio.wait_for(self._publish_note(), _ASKING_SECONDS)
        except (ConnectionError, TimeoutError) as error:
            log.warning("the broker's time was not learned, ClickHouse's and ours stand in for it: %r", error)
            appended = None
            if self._broker_ahead is not None:
                return
        if appended is not None:
            self._broker_ahead = appended - steady_ms()
            return
        [(now,)] = await asyncio.to_thread(self._db.query, "SELECT toUnixTimestamp64Milli(now64(3))")
        self._clickhouse_ahead, self._broker_ahead = now - steady_ms(), None
