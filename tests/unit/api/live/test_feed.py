"""The feed: changes add up for a reader that is slow, and one poll serves all subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import date

import pytest

from api.live import feed as feed_module
from api.live.feed import Change, ChangeFeed, Subscription
from api.query.change_detection import ChangeDetector, ClickOwner, Snapshot
from api.query.response_cache import ResponseCache
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable
from tests.support.seed import Away

MINE, THEIRS = ClickOwner("affiliate_day", 1), ClickOwner("affiliate_day", 2)
EARLY, LATE = date(2026, 3, 30), date(2026, 3, 31)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ([LATE], LATE),
        ([LATE, EARLY], EARLY),
        ([EARLY, LATE], EARLY),
        ([None, LATE], None),
        ([LATE, None], None),
    ],
)
def test_changes_add_up_until_they_are_told(days: list[date | None], told: date | None) -> None:
    async def tell() -> list[Change | None]:
        subscription = Subscription(MINE)
        for number, day in enumerate(days):
            subscription.note(float(number), day)
        return [await subscription.next(0.01) for _ in range(2)]

    assert asyncio.run(tell()) == [Change(len(days) - 1.0, told), None]


class Scripted(ChangeDetector):
    """A change of MINE at each poll; `failing` polls raise before."""

    def __init__(self, failing: int = 0) -> None:
        self.polls, self.asked = 0, list[set[ClickOwner | None]]()
        self._failing = failing

    def poll(self, before: Snapshot | None) -> Snapshot:
        self.polls += 1
        if before and self.polls <= self._failing:
            raise ClickHouseUnavailable("away")
        return Snapshot(as_of=float(self.polls))

    def changed_owners(
        self, before: Snapshot, after: Snapshot, owners: Collection[ClickOwner | None]
    ) -> dict[ClickOwner | None, date | None]:
        self.asked.append(set(owners))
        return {MINE: LATE}


class Embedded(Away):
    embedded = True


def feed_of(detector: ChangeDetector, db: ClickHouse) -> ChangeFeed:
    return ChangeFeed(ResponseCache(db, detector, lambda: None), detector)


def test_one_poll_serves_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.05)
    detector = Scripted()

    async def follow() -> tuple[list[Change | None], list[Change | None]]:
        feed = feed_of(detector, Embedded())
        async with AsyncExitStack() as stack:
            mine = [await stack.enter_async_context(feed.subscribe(MINE)) for _ in range(50)]
            theirs = await stack.enter_async_context(feed.subscribe(THEIRS))
            first = [await each.next(1) for each in [*mine, theirs]]
            return first, [*[await each.next(1) for each in mine], await theirs.next(0.01)]

    first, second = asyncio.run(follow())
    assert [change and change.changed_from for change in first] == [None] * 51
    assert [change and change.changed_from for change in second] == [LATE] * 50 + [None]
    assert detector.asked[0] == {MINE, THEIRS}
    assert detector.polls < 10


def test_nothing_is_polled_without_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.01)
    detector = Scripted()

    async def leave() -> int:
        feed = feed_of(detector, Embedded())
        for _ in range(2):  # it starts again
            async with feed.subscribe(MINE) as subscription:
                await subscription.next(1)
                assert await subscription.next(1)
        polls = detector.polls
        await asyncio.sleep(0.1)
        return detector.polls - polls

    assert asyncio.run(leave()) <= 1


def test_a_feed_goes_on_after_an_outage(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.01)

    async def follow() -> Change | None:
        async with feed_of(Scripted(failing=5), Embedded()).subscribe(MINE) as subscription:
            await subscription.next(1)
            return await subscription.next(5)

    assert asyncio.run(follow()) == Change(6.0, LATE)
    assert len([record for record in caplog.records if "wait for the database" in record.message]) == 1
