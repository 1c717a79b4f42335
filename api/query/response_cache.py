"""Responses that are made once for all who ask the same at the same time, and reused as long as they are true."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from anyio import to_thread

from api.query.change_detection import ChangeDetector, Snapshot
from api.query.executor import QueryExecutor, database_timeout, retrieve_exception
from rollups.clickhouse import ClickHouse

POLL_SECONDS = 0.5
KEPT_SECONDS = 60.0  # also what no poll can tell: rows that their age deletes, parts removed by hand
KEPT_BYTES = 64 * 1024 * 1024
KEY_BYTES = 800  # what an answer takes beside its body: its key, and its place in the memory
_POLLS = 64

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    last_day: date
    until: float
    size: int


@dataclass(frozen=True, slots=True)
class _Polled:
    number: int
    at: float
    snapshot: Snapshot


class ResponseCache:
    """For one event loop. What is asked is looked up under its key, which holds everything that the answer depends on,
    the scope of the caller above all.

    An answer was true at most `POLL_SECONDS` before its request came: what is older than the last poll is what that
    poll has found unchanged. Errors reach all who wait for the answer and are not kept.
    """

    def __init__(
        self,
        db: ClickHouse,
        detector: ChangeDetector,
        on_catalog_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._detector = detector
        self.executor = QueryExecutor(db)
        self._on_catalog_change = on_catalog_change
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._bytes = 0
        self._making: dict[Hashable, asyncio.Task[Any]] = {}
        self._waiting: Counter[asyncio.Task[Any]] = Counter()
        self._polls: deque[_Polled] = deque(maxlen=_POLLS)
        self._due = True

    def mark_stale(self) -> None:
        """The next request looks at the database first: somebody has just changed it here. Thread-safe."""
        self._due = True

    async def get(
        self, key: Hashable, last_day: date, make: Callable[[], Made], size: Callable[[Made], int]
    ) -> tuple[Made, Mapping[str, str]]:
        """The answer, and the header that is true for it. `make` runs in a thread; `last_day` is its last day."""
        seen = await self._snapshot()
        if kept := self._kept.get(key):
            if self._clock() < kept.until:
                self._kept.move_to_end(key)
                return kept.value, seen.snapshot.header
            self._drop(key)

        async def made() -> Made:
            value = await self.executor.run(make)
            self._keep(key, _Kept(value, last_day, seen.at + KEPT_SECONDS, size(value) + KEY_BYTES), seen)
            return value

        return await self._waited_for((seen.number, key), made), seen.snapshot.header

    async def _waited_for(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Made]]) -> Made:
        """What is made; it is called off when the last who waits for it has left."""
        task = self._started(key, make)
        self._waiting[task] += 1
        try:
            value: Made = await asyncio.shield(task)
            return value
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                del self._waiting[task]
                if not task.done():
                    del self._making[key]  # nobody joins what is being called off
                    task.cancel()

    async def as_of(self) -> Mapping[str, str]:
        """The header that is true for what is read from now on, for an answer too long to be remembered."""
        return (await self._snapshot()).snapshot.header

    async def _snapshot(self) -> _Polled:
        """The last poll, begun at most `POLL_SECONDS` ago. Under steady traffic nobody waits: it is renewed earlier."""
        arrived = self._clock()
        while self._due or not self._polls or arrived - self._polls[-1].at >= POLL_SECONDS:
            async with database_timeout(self._db, "answer"):
                await asyncio.shield(self._started("poll", self._poll_now))
        if arrived - self._polls[-1].at >= POLL_SECONDS / 2:
            self._started("poll", self._poll_now)
        return self._polls[-1]

    async def _poll_now(self) -> _Polled:
        before = self._polls[-1] if self._polls else None
        self._due, at = False, self._clock()
        try:
            snapshot = await to_thread.run_sync(self._detector.poll, before.snapshot if before else None)
        except BaseException:
            self._due = True
            raise
        if snapshot.catalog_changed:
            self._on_catalog_change()
        for key, kept in list(self._kept.items()):
            if kept.last_day >= snapshot.changed_from or kept.until <= at:
                self._drop(key)
        self._polls.append(_Polled(before.number + 1 if before else 1, at, snapshot))
        return self._polls[-1]

    def _started(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """The task that makes it, one for all who ask while it is under way."""

        async def run() -> Any:
            try:
                return await make()
            finally:  # in its last step, not in a callback: who waits in a loop would find it again
                if self._making.get(key) is asyncio.current_task():
                    del self._making[key]

        if key not in self._making:
            self._making[key] = asyncio.ensure_future(run())
            self._making[key].add_done_callback(retrieve_exception)
        return self._making[key]

    def _keep(self, key: Hashable, kept: _Kept, seen: _Polled) -> None:
        """Keeps what was read after the poll `seen`, unless later looks found it changed or are too many to tell."""
        later = [other.snapshot for other in self._polls if other.number > seen.number]
        if len(later) == _POLLS or any(kept.last_day >= snapshot.changed_from for snapshot in later):
            return
        self._drop(key)
        self._kept[key] = kept
        self._bytes += kept.size
        while self._bytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        if dropped := self._kept.pop(key, None):
            self._bytes -= dropped.size
