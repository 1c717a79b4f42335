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

from api.query.change_detection import Look, Observer
from api.query.executor import Errands, looked_at
from api.query.pulse import patience
from rollups.clickhouse import Store

LOOK_SECONDS = 0.5
KEPT_SECONDS = 60.0  # also what no look can tell: rows that their age deletes, parts removed by hand
KEPT_BYTES = 64 * 1024 * 1024
KEY_BYTES = 800  # what an answer takes beside its body: its key, and its place in the memory
_LOOKS = 64

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    last_day: date
    until: float
    size: int


@dataclass(frozen=True, slots=True)
class _Seen:
    number: int
    at: float
    look: Look


class ResponseCache:
    """For one event loop. What is asked is looked up under its key, which holds everything that the answer depends on,
    the scope of the caller above all.

    An answer was true at most `LOOK_SECONDS` before its request came: what is older than the last look is what that
    look has found unchanged. Errors reach all who wait for the answer and are not kept.
    """

    def __init__(
        self,
        store: Store,
        observer: Observer,
        on_catalog_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._observer = observer
        self.errands = Errands(store)
        self._on_catalog_change = on_catalog_change
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._bytes = 0
        self._making: dict[Hashable, asyncio.Task[Any]] = {}
        self._waiting: Counter[asyncio.Task[Any]] = Counter()
        self._looks: deque[_Seen] = deque(maxlen=_LOOKS)
        self._due = True

    def look_again(self) -> None:
        """The next request looks at the database first: somebody has just changed it here. Thread-safe."""
        self._due = True

    async def get(
        self, key: Hashable, last_day: date, make: Callable[[], Made], size: Callable[[Made], int]
    ) -> tuple[Made, Mapping[str, str]]:
        """The answer, and the header that is true for it. `make` runs in a thread; `last_day` is its last day."""
        seen = await self._look()
        if kept := self._kept.get(key):
            if self._clock() < kept.until:
                self._kept.move_to_end(key)
                return kept.value, seen.look.header
            self._drop(key)

        async def made() -> Made:
            value = await self.errands.run(make)
            self._keep(key, _Kept(value, last_day, seen.at + KEPT_SECONDS, size(value) + KEY_BYTES), seen)
            return value

        return await self._waited_for((seen.number, key), made), seen.look.header

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
        return (await self._look()).look.header

    async def _look(self) -> _Seen:
        """The last look, begun at most `LOOK_SECONDS` ago. Under steady traffic nobody waits: it is renewed earlier."""
        arrived = self._clock()
        while self._due or not self._looks or arrived - self._looks[-1].at >= LOOK_SECONDS:
            async with patience(self._store, "answer"):
                await asyncio.shield(self._started("look", self._look_now))
        if arrived - self._looks[-1].at >= LOOK_SECONDS / 2:
            self._started("look", self._look_now)
        return self._looks[-1]

    async def _look_now(self) -> _Seen:
        before = self._looks[-1] if self._looks else None
        self._due, at = False, self._clock()
        try:
            look = await to_thread.run_sync(self._observer.look, before.look if before else None)
        except BaseException:
            self._due = True
            raise
        if look.catalog_changed:
            self._on_catalog_change()
        for key, kept in list(self._kept.items()):
            if kept.last_day >= look.changed_from or kept.until <= at:
                self._drop(key)
        self._looks.append(_Seen(before.number + 1 if before else 1, at, look))
        return self._looks[-1]

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
            self._making[key].add_done_callback(looked_at)
        return self._making[key]

    def _keep(self, key: Hashable, kept: _Kept, seen: _Seen) -> None:
        """Keeps what was read after the look `seen`, unless later looks found it changed or are too many to tell."""
        later = [other.look for other in self._looks if other.number > seen.number]
        if len(later) == _LOOKS or any(kept.last_day >= look.changed_from for look in later):
            return
        self._drop(key)
        self._kept[key] = kept
        self._bytes += kept.size
        while self._bytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        if dropped := self._kept.pop(key, None):
            self._bytes -= dropped.size
