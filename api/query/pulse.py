"""Whether the database answers at all: what is asked of it may take long, but not of one that has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from rollups.clickhouse import Store, StoreError, StoreUnavailable

Made = TypeVar("Made")

PATIENCE_SECONDS = 1.8  # for a database that takes connections and does not answer
_EVERY_SECONDS = 0.2  # while anybody waits


@asynccontextmanager
async def patience(store: Store, action: str) -> AsyncIterator[None]:
    """Raises StoreUnavailable if the block takes a database behind a connection longer than `PATIENCE_SECONDS`."""
    try:
        async with asyncio.timeout(None if store.embedded else PATIENCE_SECONDS):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(f"ClickHouse did not {action} in time") from error


class Pulse:
    """For one event loop. It is felt over a connection of its own: the others may all be busy with heavy questions."""

    def __init__(self, store: Store) -> None:
        self._embedded = store.embedded
        self._store = store if store.embedded else store.aside(PATIENCE_SECONDS)
        self._places = CapacityLimiter(1)  # its own: those of other threads may all be taken
        self._feeling: asyncio.Task[StoreError | None] | None = None

    async def trouble(self) -> StoreError | None:
        """What keeps the database from answering now, None if it does."""
        feeling = self._felt()
        await asyncio.wait([feeling], timeout=None if self._embedded else PATIENCE_SECONDS)
        return feeling.result() if feeling.done() else _silent()

    async def while_it_beats(self, work: asyncio.Future[Made]) -> Made:
        """What `work` comes to. Raises StoreUnavailable once the database does not answer; `work` goes on, then and
        when the caller is cancelled."""
        while not self._embedded and not work.done():
            await asyncio.wait([work], timeout=_EVERY_SECONDS)
            if work.done():
                break
            feeling = self._felt()
            either: list[asyncio.Future[Any]] = [work, feeling]
            await asyncio.wait(either, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            trouble = feeling.result() if feeling.done() else _silent()
            if not work.done() and isinstance(trouble, StoreUnavailable) and not trouble.code:  # a code is an answer
                raise trouble
        return await asyncio.shield(work)

    def _felt(self) -> asyncio.Task[StoreError | None]:
        """The probe under way, one for all who wait."""
        if self._feeling is None or self._feeling.done():
            self._feeling = asyncio.ensure_future(to_thread.run_sync(self._feel, limiter=self._places))
        return self._feeling

    def _feel(self) -> StoreError | None:
        try:
            self._store.query("SELECT 1")
        except StoreError as error:
            return error
        return None


def _silent() -> StoreUnavailable:
    return StoreUnavailable("ClickHouse did not answer in time")
