"""The feed: one poll of the database for all streams, and what it has found for each of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date

from api.query.change_detection import ChangeDetector, ClickOwner, Snapshot
from api.query.response_cache import ResponseCache
from rollups.clickhouse import ClickHouseError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # between two polls, so also between two changes that a subscription is told


@dataclass(frozen=True, slots=True)
class Change:
    """Clicks of `changed_from` or later have changed, or of any day if it is None. `as_of` as in `Snapshot`."""

    as_of: float | None
    changed_from: date | None


class Subscription:
    """What has changed for one owner since it was last told: one change at most, however slow its reader."""

    def __init__(self, owner: ClickOwner | None) -> None:
        self.owner = owner
        self._change: Change | None = None
        self._woken = asyncio.Event()

    def note(self, as_of: float | None, changed_from: date | None) -> None:
        """Adds a change to the one that is not told yet."""
        if self._change and changed_from:
            earlier = self._change.changed_from
            changed_from = min(earlier, changed_from) if earlier else None
        self._change = Change(as_of, changed_from)
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def next(self, seconds: float) -> Change | None:
        """The next change; None after these seconds, or when woken without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        change, self._change = self._change, None
        return change


class ChangeFeed:
    """Polls while it has subscriptions, and tells them what has changed. For one event loop.

    The response cache is polled, not the database directly, so that no client that asks upon a change gets a response
    from before it.
    """

    def __init__(self, cache: ResponseCache, detector: ChangeDetector) -> None:
        self._cache = cache
        self._detector = detector
        self._subscriptions: set[Subscription] = set()
        self._following: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Wakes all subscriptions, without a change."""
        for subscription in self._subscriptions:
            subscription.wake()

    @asynccontextmanager
    async def subscribe(self, owner: ClickOwner | None) -> AsyncIterator[Subscription]:
        """A subscription for the block, which begins with a change of any day. None: to the clicks of everybody.

        Raises ClickHouseUnavailable.
        """
        subscription = Subscription(owner)
        self._subscriptions.add(subscription)  # before the snapshot: what changes after it is told
        try:
            snapshot = await self._cache.snapshot()
            subscription.note(snapshot.as_of, None)
            if self._following is None:
                self._following = asyncio.ensure_future(self._follow(snapshot))
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            if not self._subscriptions and self._following:
                self._following.cancel()
                self._following = None

    async def _follow(self, seen: Snapshot) -> None:
        away = False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                seen = await self._tell(seen)
                away = False
            except ClickHouseError as error:
                if not away:
                    log.warning("streams wait for the database: %s", error)
                away = True

    async def _tell(self, seen: Snapshot) -> Snapshot:
        """Tells what has changed since a snapshot. Returns the newest one."""
        now = await self._cache.poll()
        owners = frozenset(subscription.owner for subscription in self._subscriptions)
        changed = await self._cache.executor.run(lambda: self._detector.changed_owners(seen, now, owners))
        for subscription in self._subscriptions:
            if subscription.owner in changed:
                subscription.note(now.as_of, changed[subscription.owner])
        return now
