"""Whether the database answers at all: what is asked of it may take long, but not of one that has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from rollups.clickhouse import Store, StoreError, StoreUnavailable

Made = TypeVar("Made")

DATABASE_TIMEOUT_SECONDS = 1.8  # for a database that takes connections and does not answer
_PROBE_INTERVAL_SECONDS = 0.2  # while anybody waits


@asynccontextmanager
async def database_timeout(store: Store, action: str) -> AsyncIterator[None]:
    """Raises StoreUnavailable if the block lasts longer than `DATABASE_TIMEOUT_SECONDS`; chDB has no timeout."""
    try:
        async with asyncio.timeout(None if store.embedded else DATABASE_TIMEOUT_SECONDS):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(f"ClickHouse did not {action} in time") from error


class DatabaseHealth:
    """For one event loop. It is felt over a connection of its own: the others may all be busy with heavy questions."""

    def __init__(self, store: Store) -> None:
        self._embedded = store.embedded
        self._store = store if store.embedded else store.aside(DATABASE_TIMEOUT_SECONDS)
        self._limiter = CapacityLimiter(1)  # its own: those of other threads may all be taken
        self._probing: asyncio.Task[StoreError | None] | None = None

    async def check(self) -> StoreError | None:
        """What keeps the database from answering now, None if it does."""
        probe = self._current_probe()
        await asyncio.wait([probe], timeout=None if self._embedded else DATABASE_TIMEOUT_SECONDS)
        return probe.result() if probe.done() else _timed_out()

    async def run_while_alive(self, work: asyncio.Future[Made]) -> Made:
        """What `work` comes to. Raises StoreUnavailable once the database does not answer; `work` goes on, then and
        when the caller is cancelled."""
        while not self._embedded and not work.done():
            await asyncio.wait([work], timeout=_PROBE_INTERVAL_SECONDS)
            if work.done():
                break
            probe = self._current_probe()
            either: list[asyncio.Future[Any]] = [work, probe]
            await asyncio.wait(either, timeout=DATABASE_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            trouble = probe.result() if probe.done() else _timed_out()
            if not work.done() and isinstance(trouble, StoreUnavailable) and not trouble.code:  # a code is an answer
                raise trouble
        return await asyncio.shield(work)

    def _current_probe(self) -> asyncio.Task[StoreError | None]:
        """The probe under way, one for all who wait."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.ensure_future(to_thread.run_sync(self._probe, limiter=self._limiter))
        return self._probing

    def _probe(self) -> StoreError | None:
        try:
            self._store.query("SELECT 1")
        except StoreError as error:
            return error
        return None


def _timed_out() -> StoreUnavailable:
    return StoreUnavailable("ClickHouse did not answer in time")
