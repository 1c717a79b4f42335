"""Cached responses: their age, what drops them, who shares them."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Hashable
from datetime import date
from typing import Any

import pytest

from api.clicks.parameters import ClicksQuery
from api.http.conditional import ResponseBody
from api.query import response_cache as cache_module
from api.query.change_detection import ChangeDetector, Snapshot
from api.query.response_cache import ENTRY_BYTES, ENTRY_SECONDS, POLL_SECONDS, ResponseCache
from rollups.clickhouse import ClickHouse
from tests.support.clock import Clock
from tests.support.seed import (
    ACCOUNT,
    DOMAIN,
    Away,
    Callers,
    Daily,
    Hourly,
    account_on,
    away,
    callers,
    insert_daily,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)

CLOSED, LATER = "2026-03-31", "2026-04-01"


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def api(db: ClickHouse, clock: Clock) -> Callers:
    account_on(db, "Enterprise")
    return callers(db, clock)


def daily_total(api: Callers, role: str = "publisher", **parameters: Any) -> int:
    return sum(row["click_count"] for row in api.clicks(role, **parameters).json()["data"])


def test_a_late_click_is_served_within_half_a_second(db: ClickHouse, api: Callers, clock: Clock) -> None:
    insert_daily(db, [Daily(CLOSED, clicks=2)])
    assert daily_total(api) == 2
    insert_daily(db, [Daily(CLOSED, clicks=3)])
    clock.now += POLL_SECONDS - 0.001
    assert daily_total(api) == 2
    clock.now += 0.001
    assert daily_total(api) == 5
    assert POLL_SECONDS <= 0.5


def test_a_late_click_of_an_hour_is_served_within_half_a_second(db: ClickHouse, api: Callers, clock: Clock) -> None:
    asked = {"linkId": "abc", "domain": DOMAIN}
    for clicks, total in ((2, 2), (3, 5)):
        insert_hourly(db, [Hourly(CLOSED, 4, clicks=clicks)])
        clock.now += POLL_SECONDS
        assert api.hourly(**asked).json()["result"][0]["acesCnt"] == total


def test_later_days_do_not_touch_a_response_and_as_of_moves_on(
    db: ClickHouse, api: Callers, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-04-01 10:00:00")
    insert_daily(db, [Daily(CLOSED, clicks=2)])
    first = api.clicks()
    monkeypatch.setattr("api.clicks.endpoint.read_page", lambda *_: pytest.fail("it is remembered"))
    insert_daily(db, [Daily(LATER, clicks=3)])
    insert_watermark(db, 1, 0, "2026-04-01 11:00:00")
    clock.now += POLL_SECONDS
    second = api.clicks()
    assert second.json() == first.json()
    assert [answer.headers["X-Data-As-Of"][11:13] for answer in (first, second)] == ["10", "11"]


def test_a_response_within_half_a_second_keeps_its_as_of(db: ClickHouse, api: Callers, clock: Clock) -> None:
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-04-01 10:00:00")
    first = api.clicks()
    insert_daily(db, [Daily(CLOSED)])
    insert_watermark(db, 1, 0, "2026-04-01 11:00:00")
    assert api.clicks().headers["X-Data-As-Of"] == first.headers["X-Data-As-Of"]


def test_nothing_is_cached_for_longer_than_a_minute(db: ClickHouse, api: Callers, clock: Clock) -> None:
    insert_daily(db, [Daily(CLOSED), Daily(LATER)])
    assert daily_total(api) == 1
    db.command("ALTER TABLE rollup DELETE WHERE day = '2026-03-31' SETTINGS mutations_sync = 1")
    clock.now += ENTRY_SECONDS
    assert daily_total(api) == 0
    assert ENTRY_SECONDS <= 60


def test_names_plans_and_groups_change_within_half_a_second(db: ClickHouse, api: Callers, clock: Clock) -> None:
    insert_daily(db, [Daily(CLOSED)])
    insert_hourly(db, [Hourly(CLOSED, 4)])
    assert api.clicks().json()["data"][0]["publisher_name"] is None
    assert api.hourly(grpIdx=5).json()["code"] == 1004
    upsert(db, publishers=[{"publisher_id": 45, "name": "New"}])
    upsert(db, links=[{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": "abc", "grp_idx": 5}])
    clock.now += POLL_SECONDS
    assert api.clicks().json()["data"][0]["publisher_name"] == "New"
    assert len(api.hourly(grpIdx=5).json()["result"]) == 1
    account_on(db, "Free")
    clock.now += POLL_SECONDS
    assert api.hourly(grpIdx=5).json()["code"] == 1003


def test_a_catalogue_written_by_this_process_is_seen_at_once(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily(CLOSED)])
    assert api.clicks().json()["data"][0]["publisher_name"] is None
    assert api.admin("PUT", "/catalog", {"publishers": [{"publisher_id": 45, "name": "New"}]}).status_code == 200
    assert api.clicks().json()["data"][0]["publisher_name"] == "New"


def test_publishers_share_no_response(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily(CLOSED, clicks=2), Daily(CLOSED, clicks=3, publisher=46)])
    for _ in range(2):
        assert daily_total(api, "admin") == 5
        assert daily_total(api) == 2
        assert daily_total(api, publisher_id=46) == 2
        assert daily_total(api, "admin", publisher_id=46) == 3
        assert api.clicks("account").status_code == 403
        assert api.clicks("unknown").status_code == 401


def test_accounts_share_no_response(db: ClickHouse, api: Callers) -> None:
    account_on(db, "Enterprise", account_id=8)
    insert_hourly(db, [Hourly(CLOSED, 4, clicks=2, link=""), Hourly(CLOSED, 4, clicks=3, link="", account=8)])
    body = {"role": "account", "account_id": 8}
    api.keys["other"] = api.admin("POST", "/keys", body).json()["key"]
    for _ in range(2):
        assert [api.hourly(role).json()["result"][0]["acesCnt"] for role in ("account", "other")] == [2, 3]


def test_a_revoked_key_gets_no_cached_response(db: ClickHouse, api: Callers) -> None:
    made = api.admin("POST", "/keys", {"role": "publisher", "publisher_id": 45}).json()
    api.keys["made"] = made["key"]
    etag = api.clicks("made").headers["ETag"]
    api.admin("DELETE", f"/keys/{made['id']}")
    assert api.clicks("made").status_code == 401
    headers = {"X-Api-Key": made["key"], "If-None-Match": etag}
    assert api.client.get("/api/v1/clicks", headers=headers).status_code == 401


def test_errors_are_not_cached(db: ClickHouse, api: Callers, clock: Clock) -> None:
    asked = {"linkId": "abc", "domain": DOMAIN}
    for _ in range(2):
        refused = api.hourly(**asked)
        assert refused.json()["code"] == 1004
        assert "etag" not in refused.headers
        assert refused.headers["Cache-Control"] == "no-store"
    insert_hourly(db, [Hourly(CLOSED, 4)])
    assert api.hourly(**asked).json()["code"] == 0


def test_after_a_failed_poll_changes_are_still_found(db: ClickHouse, clock: Clock) -> None:
    detector = ChangeDetector(db, "clicks")
    cache = ResponseCache(Away(), detector, lambda: None, clock)

    numbers = iter(range(1, 9))

    async def ask() -> int:
        return (await cache.get(numbers.__next__, last_day=date(2026, 3, 31), size=lambda _: 1))[0]

    assert asyncio.run(ask()) == 1
    upsert(db, networks=[{"network_id": 1, "name": "changed"}])
    clock.now += POLL_SECONDS
    with away(db), pytest.raises(Exception, match="not reachable"):
        asyncio.run(ask())
    assert asyncio.run(ask()) == 2, "a poll that failed has not swallowed the change"


class Script(ChangeDetector):
    """Snapshots in this order; afterwards nothing changes."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._snapshots = list(snapshots)

    def poll(self, before: Snapshot | None) -> Snapshot:
        return self._snapshots.pop(0) if self._snapshots else Snapshot()


def seven(_key: Hashable) -> int:
    return 7


def test_concurrent_requests_of_a_key_share_one_query(clock: Clock) -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 7

    async def ask_often() -> list[tuple[int, Any]]:
        cache = ResponseCache(Away(), Script(), lambda: None, clock)
        return await asyncio.gather(*(cache.get(make, last_day=None, size=lambda _: 1) for _ in range(9)))

    assert [value for value, _ in asyncio.run(ask_often())] == [7] * 9
    assert len(made) == 1


def test_no_request_joins_a_cancelled_query(clock: Clock) -> None:
    began, go_on = threading.Event(), threading.Event()

    results = iter([1, 2])

    def slow_at_first() -> int:
        result = next(results)
        if result == 1:
            began.set()
            go_on.wait(10)
        return result

    async def ask() -> int:
        cache = ResponseCache(Away(), Script(), lambda: None, clock)
        leaving = [asyncio.ensure_future(cache.get(slow_at_first, last_day=None, size=lambda _: 1)) for _ in range(2)]
        await asyncio.to_thread(began.wait, 10)
        leaving[0].cancel()
        await asyncio.sleep(0)
        assert not leaving[1].done(), "the other still waits"
        leaving[1].cancel()
        await asyncio.wait(leaving)
        value, _ = await cache.get(slow_at_first, last_day=None, size=lambda _: 1)
        go_on.set()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)
        return value

    assert asyncio.run(ask()) == 2


@pytest.mark.parametrize(("changed", "kept"), [(date(2026, 3, 31), False), (date(2026, 4, 1), True)])
def test_a_value_that_changed_while_it_was_read_is_not_cached(clock: Clock, changed: date, kept: bool) -> None:
    cache = ResponseCache(
        Away(), Script(Snapshot(all_changed=True), Snapshot(changed_from=changed)), lambda: None, clock
    )

    async def ask() -> bool:
        reading, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow() -> int:
            loop.call_soon_threadsafe(reading.set)
            return asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

        asked = asyncio.ensure_future(cache.get(slow, last_day=date(2026, 3, 31), size=lambda _: 1))
        await reading.wait()
        clock.now += POLL_SECONDS
        await cache.get(seven, "other", last_day=None, size=lambda _: 1)
        go_on.set()
        await asked
        return (slow,) in cache

    assert asyncio.run(ask()) == kept


@pytest.mark.timeout(20)
def test_a_request_at_the_end_of_a_slow_poll_does_not_wait_for_it_again(clock: Clock) -> None:
    """The event loop stood still: the poll was too old for them, its task done but not awaited yet."""

    class Slow(ChangeDetector):
        def __init__(self) -> None:
            pass

        def poll(self, before: Snapshot | None) -> Snapshot:
            clock.now += POLL_SECONDS
            return Snapshot(all_changed=True, catalog_changed=before is None)

    late: list[asyncio.Future[tuple[int, Any]]] = []

    async def ask() -> None:
        cache = ResponseCache(Away(), Slow(), lambda: late.append(asyncio.ensure_future(asked())), clock)

        async def asked() -> tuple[int, Any]:
            return await cache.get(seven, "key", last_day=None, size=lambda _: 1)

        assert (await asked())[0] == 7
        assert (await late[0])[0] == 7

    asyncio.run(ask())


def test_the_first_requests_may_be_concurrent(clock: Clock) -> None:
    cache = ResponseCache(Away(), Script(), lambda: None, clock)

    async def ask() -> list[tuple[int, Any]]:
        first = asyncio.ensure_future(cache.get(seven, "a", last_day=None, size=lambda _: 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [*await asyncio.gather(first, cache.get(seven, "b", last_day=None, size=lambda _: 1))]

    assert [value for value, _ in asyncio.run(ask())] == [7, 7]


def test_a_request_that_is_cancelled_does_not_cancel_the_others(clock: Clock) -> None:
    async def leave() -> tuple[int, Any]:
        cache = ResponseCache(Away(), Script(), lambda: None, clock)
        calls = [asyncio.ensure_future(cache.get(seven, "key", last_day=None, size=lambda _: 1)) for _ in range(2)]
        await asyncio.sleep(0)
        calls[0].cancel()
        return await calls[1]

    assert asyncio.run(leave())[0] == 7


def test_the_size_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", 10 + 2 * ENTRY_BYTES)
    cache = ResponseCache(Away(), Script(), lambda: None, clock)

    async def ask() -> None:
        for key in range(9):
            await cache.get(seven, key, last_day=None, size=lambda _: 4)

    asyncio.run(ask())
    assert ([key for key in range(9) if (seven, key) in cache], cache.size) == ([7, 8], 8 + 2 * ENTRY_BYTES)


def empty_page(_query: ClicksQuery) -> ResponseBody:
    return ResponseBody.of({"data": [], "meta": {}})


def test_the_size_is_about_the_memory_taken(clock: Clock) -> None:
    cache, answers = ResponseCache(Away(), Script(), lambda: None, clock), 2_000

    async def ask() -> None:
        for number in range(answers):
            query = ClicksQuery(
                start=date(2026, 3, 1), end=date(2026, 3, 31), publisher_id=number, page=1, per_page=100
            )
            await cache.get(empty_page, query, last_day=query.end, size=lambda body: body.size)

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        asyncio.run(ask())
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache.size > answers * ENTRY_BYTES
    assert taken / 1.5 < cache.size < taken * 3


def test_expired_entries_are_dropped_without_a_request(clock: Clock) -> None:
    cache = ResponseCache(Away(), Script(), lambda: None, clock)

    async def ask(key: str) -> None:
        await cache.get(seven, key, last_day=None, size=lambda _: 4)

    asyncio.run(ask("old"))
    clock.now += ENTRY_SECONDS
    asyncio.run(ask("new"))
    assert ((seven, "old") in cache, (seven, "new") in cache, cache.size) == (False, True, 4 + ENTRY_BYTES)


@pytest.mark.parametrize(
    ("snapshot", "kept"),
    [
        (Snapshot(), ["catalog", "early", "late", "latest"]),
        (Snapshot(changed_from=date(2026, 4, 1)), ["catalog", "early"]),
        (Snapshot(changed_from=date(1970, 1, 1)), ["catalog"]),
        (Snapshot(all_changed=True), []),
        (Snapshot(all_changed=True, catalog_changed=True), []),
    ],
    ids=["nothing", "a-day", "the-first-day", "unknown", "catalog"],
)
def test_a_poll_drops_the_entries_that_it_invalidates(clock: Clock, snapshot: Snapshot, kept: list[str]) -> None:
    cache = ResponseCache(Away(), Script(Snapshot(all_changed=True), snapshot), lambda: None, clock)
    days = {"catalog": None, "early": date(2026, 3, 31), "late": date(2026, 4, 1), "latest": date.max}

    async def fill_and_poll() -> None:
        for key, last_day in days.items():
            await cache.get(seven, key, last_day=last_day, size=lambda _: 1)
        clock.now += POLL_SECONDS
        await cache.as_of()

    asyncio.run(fill_and_poll())
    assert [key for key in days if (seven, key) in cache] == kept


def test_as_of_is_that_of_the_newest_poll_for_cached_values_too(clock: Clock) -> None:
    snapshots = Snapshot(as_of=1000.001, all_changed=True), Snapshot(as_of=1001.5), Snapshot()
    cache = ResponseCache(Away(), Script(*snapshots), lambda: None, clock)

    async def ask() -> list[tuple[int, float | None]]:
        answers = []
        for _ in snapshots:
            answers.append(await cache.get(seven, "key", last_day=None, size=lambda _: 1))
            assert await cache.as_of() == answers[-1][1]
            clock.now += POLL_SECONDS
        return answers

    assert asyncio.run(ask()) == [(7, 1000.001), (7, 1001.5), (7, None)]


def test_the_function_and_its_arguments_are_the_key(clock: Clock) -> None:
    cache = ResponseCache(Away(), Script(), lambda: None, clock)
    calls: list[tuple[Any, ...]] = []

    def first(*arguments: Any) -> tuple[Any, ...]:
        calls.append(("first", *arguments))
        return calls[-1]

    def second(*arguments: Any) -> tuple[Any, ...]:
        calls.append(("second", *arguments))
        return calls[-1]

    async def ask() -> None:
        for _ in range(2):
            for read in (first, second):
                for arguments in ((), (1,), (1, "a"), ("a", 1)):
                    value, _ = await cache.get(read, *arguments, last_day=None, size=lambda _: 1)
                    assert value == (read.__name__, *arguments)

    asyncio.run(ask())
    assert len(calls) == len(set(calls)) == 8
