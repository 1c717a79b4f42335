"""A response cache: one query for concurrent requests of the same key, and entries that last until data changes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from anyio import to_thread

from api.query.change_detection import ChangeDetector, Snapshot
from api.query.executor import QueryExecutor, database_timeout, retrieve_exception
from rollups.clickhouse import ClickHouse

POLL_SECONDS = 0.5
ENTRY_SECONDS = 60.0  # for changes that no poll detects: rows deleted by their age, parts removed by hand
MAX_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 800  # of an entry besides its body
SMALL_BYTES = 500  # of the facts of an account
_POLLS = 64  # that are remembered

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Entry:
    value: Any
    last_day: date | None
    expires: float
    size: int


@dataclass(frozen=True, slots=True)
class _Poll:
    number: int
    at: float
    snapshot: Snapshot


class ResponseCache:
    """Caches what functions return. For one event loop.

    A response is at most `POLL_SECONDS` older than its request: entries from before the last poll are those that it
    found unchanged. An error reaches all requests that wait for it and is not cached.
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
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self.size = 0  # in bytes, estimated
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}
        self._waiters: Counter[asyncio.Task[Any]] = Counter()
        self._polls: deque[_Poll] = deque(maxlen=_POLLS)
        self._stale = True

    def __contains__(self, call: tuple[Hashable, ...]) -> bool:
        """Whether `(read, *arguments)` is cached."""
        return call in self._entries

    def mark_stale(self) -> None:
        """The next request polls first, since this process has just changed the database. Thread-safe."""
        self._stale = True

    async def get(
        self,
        read: Callable[..., Value],
        *arguments: Hashable,
        last_day: date | None,
        size: Callable[[Value], int] = lambda _: SMALL_BYTES,
    ) -> tuple[Value, float | None]:
        """`read(*arguments)`, called in a thread or cached, and the `as_of` of `Snapshot` that holds for it.

        The function and its arguments are the key, so they determine the value: the scope of the caller is among them,
        and `read` is no lambda made for the call. `last_day` is the last day that the value depends on, None if it
        depends on the catalogue only; `size` gives its bytes, if they are not few.

        Raises ClickHouseUnavailable if the database does not respond, and the errors of `read`.
        """
        key = (read, *arguments)
        poll = await self._current_poll()
        if entry := self._entries.get(key):
            if self._clock() < entry.expires:
                self._entries.move_to_end(key)
                return entry.value, poll.snapshot.as_of
            self._drop(key)

        async def read_and_store() -> Value:
            value = await self.executor.run(lambda: read(*arguments))
            self._store(key, _Entry(value, last_day, poll.at + ENTRY_SECONDS, size(value) + ENTRY_BYTES), poll)
            return value

        return await self._share((poll.number, key), read_and_store), poll.snapshot.as_of

    async def as_of(self) -> float | None:
        """The `as_of` that holds for queries from now on, for a response that is not cached."""
        return (await self.snapshot()).as_of

    async def snapshot(self) -> Snapshot:
        """That of the last poll, which began at most `POLL_SECONDS` ago: no older response is cached."""
        return (await self._current_poll()).snapshot

    async def poll(self) -> Snapshot:
        """That of a poll which begins now or is under way: no response from before what it found is cached."""
        async with database_timeout(self._db, "answer"):
            await asyncio.shield(self._task("poll", self._poll))
        return self._polls[-1].snapshot

    async def _share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The result of the task of this key, which is cancelled when its last waiter leaves."""
        task = self._task(key, work)
        self._waiters[task] += 1
        try:
            value: Value = await asyncio.shield(task)
            return value
        finally:
            self._waiters[task] -= 1
            if not self._waiters[task]:
                del self._waiters[task]
                if not task.done():
                    del self._tasks[key]  # no request joins a cancelled task
                    task.cancel()

    async def _current_poll(self) -> _Poll:
        """A poll that began at most `POLL_SECONDS` ago. Traffic renews it earlier, in the background."""
        arrived = self._clock()
        while self._stale or not self._polls or arrived - self._polls[-1].at >= POLL_SECONDS:
            await self.poll()
        if arrived - self._polls[-1].at >= POLL_SECONDS / 2:
            self._task("poll", self._poll)
        return self._polls[-1]

    async def _poll(self) -> None:
        before = self._polls[-1] if self._polls else None
        self._stale, at = False, self._clock()
        try:
            snapshot = await to_thread.run_sync(self._detector.poll, before.snapshot if before else None)
        except BaseException:
            self._stale = True
            raise
        if snapshot.catalog_changed:
            self._on_catalog_change()
        for key, entry in list(self._entries.items()):
            if snapshot.invalidates(entry.last_day) or entry.expires <= at:
                self._drop(key)
        self._polls.append(_Poll(before.number + 1 if before else 1, at, snapshot))

    def _task(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """The task of this key, started unless it is under way."""

        async def run() -> Any:
            try:
                return await work()
            finally:  # in its last step, not in a callback: a waiter in a loop would find the finished task again
                if self._tasks.get(key) is asyncio.current_task():
                    del self._tasks[key]

        if key not in self._tasks:
            self._tasks[key] = asyncio.ensure_future(run())
            self._tasks[key].add_done_callback(retrieve_exception)
        return self._tasks[key]

    def _store(self, key: Hashable, entry: _Entry, poll: _Poll) -> None:
        """Stores an entry read after `poll`, unless later polls invalidate it or are too many to tell."""
        later = [other.snapshot for other in self._polls if other.number > poll.number]
        if len(later) == _POLLS or any(snapshot.invalidates(entry.last_day) for snapshot in later):
            return
        self._drop(key)
        self._entries[key] = entry
        self.size += entry.size
        while self.size > MAX_BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        if dropped := self._entries.pop(key, None):
            self.size -= dropped.size
