"""The broker's time, as a worker knows it: never ahead of it, so that nothing is said of a time that has not come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from rollups.clickhouse import ClickHouse

log = logging.getLogger(__name__)

_ASKING_SECONDS = 5.0
# A clock that no one sets, and that goes on while the machine sleeps, where there is one.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    return time.clock_gettime_ns(_STEADY) // 1_000_000


class BrokerClock:
    """Goes on from the time at which the broker has appended a note of ours.

    `append_time` publishes one and returns that time in ms, or None if producers set the times of its topic: then it is
    the lesser of this machine's time and ClickHouse's. ConnectionError if Kafka does not take it.
    """

    def __init__(self, append_time: Callable[[], Awaitable[int | None]], db: ClickHouse) -> None:
        self._append_time = append_time
        self._db = db
        self._broker_ahead: int | None = None  # ms that it is ahead of the steady clock, at least
        self._clickhouse_ahead: int | None = None

    def now_ms(self) -> int:
        """Milliseconds since 1970. Does not block."""
        if self._broker_ahead is not None:
            return steady_ms() + self._broker_ahead
        return wall_ms() if self._clickhouse_ahead is None else min(wall_ms(), steady_ms() + self._clickhouse_ahead)

    async def learn(self) -> None:
        """Asks anew. A broker that does not answer leaves everything as it was."""
        try:
            appended = await asyncio.wait_for(self._append_time(), _ASKING_SECONDS)
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
