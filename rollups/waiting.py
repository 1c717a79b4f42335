"""Work that is repeated, and waiting for a database that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from rollups.clickhouse import ClickHouse, ClickHouseError, ClickHouseUnavailable

log = logging.getLogger(__name__)

_LAST_BACKOFF = 10.0


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Repeats the work; while ClickHouse or Kafka is away it is simply tried again next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except (ClickHouseError, ConnectionError) as error:
            log.warning("%s", error)


async def wait_for_clickhouse(db: ClickHouse, stop: asyncio.Event) -> None:
    """Returns once ClickHouse answers and is migrated, or `stop` is set; says what is missing meanwhile."""
    backoff = 0.5
    while not stop.is_set():
        try:
            await asyncio.to_thread(db.query, "SELECT 1 FROM installation LIMIT 1")
            return
        except ClickHouseUnavailable as error:
            problem = str(error)
        except ClickHouseError as error:
            problem = f"ClickHouse at {db.address} is not ready; has `clickmill migrate` run? {error}"
        log.warning("%s; trying again in %.1f s", problem[:500], backoff)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), backoff)
        backoff = min(backoff * 2, _LAST_BACKOFF)
