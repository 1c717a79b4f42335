"""Rate limits of keys and accounts, in memory and in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from api.access import rate_limits
from api.access.keys import KeyRing
from api.access.plans import DEFAULTS, Plan, Plans
from api.access.rate_limits import (
    AWAY_SECONDS,
    HOUR,
    MINUTE,
    REDIS_TIMEOUT_SECONDS,
    MemoryStorage,
    RateLimiter,
    RedisStorage,
    Slot,
    Window,
)
from api.http.errors import RateLimited
from api.http.middleware import install_middleware
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.clock import Clock
from tests.support.redis_server import RedisServer
from tests.support.seed import PUBLISHER, Callers, account_on, callers

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    return callers(db, requests_per_hour=5)


def left(answer: Any) -> int:
    assert answer.headers["X-RateLimit-Limit"] == "5"
    assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 3601
    return int(answer.headers["X-RateLimit-Remaining"])


def test_every_answer_after_authentication_counts_and_says_what_is_left(api: Callers) -> None:
    first = api.clicks()
    assert (first.status_code, left(first)) == (200, 4)
    known = {"X-Api-Key": api.keys["publisher"], "If-None-Match": first.headers["ETag"]}
    same = api.client.get(first.request.url, headers=known)
    assert (same.status_code, left(same)) == (304, 3)
    wrong = api.clicks(start_date="nonsense")
    assert (wrong.status_code, left(wrong)) == (400, 2)
    assert [left(answer) for answer in (api.clicks("account"), api.clicks("account"))] == [4, 3]
    assert api.clicks("account").status_code == 403
    unknown = api.admin("DELETE", "/keys/nope")
    assert (unknown.status_code, left(unknown)) == (404, 4)


def test_answers_to_nobody_in_particular_count_nowhere(api: Callers) -> None:
    for answer in (api.clicks("unknown"), api.client.get("/healthz"), api.client.get("/nope")):
        assert not set(HEADERS) & set(answer.headers)


def test_above_the_limit(api: Callers) -> None:
    assert [api.clicks().status_code for _ in range(7)] == [200] * 5 + [429] * 2
    refused = api.clicks()
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    assert left(refused) == 0
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert api.clicks("admin").status_code == 200, "another key has its own count"


def test_a_key_has_its_own_limit(db: ClickHouse, api: Callers) -> None:
    made = api.admin("POST", "/keys", {"role": "publisher", "publisher_id": PUBLISHER, "requests_per_hour": 2}).json()
    assert made["requests_per_hour"] == 2
    api.keys["slow"] = made["key"]
    assert [api.clicks("slow").status_code for _ in range(3)] == [200, 200, 429]
    assert api.clicks("slow").headers["X-RateLimit-Limit"] == "2"
    ring = KeyRing(db, Settings())
    principal = asyncio.run(ring.resolve(made["key"]))
    assert principal is not None
    assert principal.requests_per_hour == 2


def test_off(db: ClickHouse) -> None:
    api = callers(db, requests_per_hour=1, rate_limits="off")
    answers = [api.clicks() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert not set(HEADERS) & set(answers[0].headers)


# -- accounts ---------------------------------------------------------------------------------------------------


def statistics_app(plan: Plan, redis_url: str = "", **settings: Any) -> tuple[FastAPI, list[asyncio.Event]]:
    """An application with one statistics call; with `wait` it lasts until the event that it appends is set."""
    limiter = RateLimiter(Settings(redis_url=redis_url, **settings))
    app, running = FastAPI(), list[asyncio.Event]()
    install_middleware(app, Settings())

    @app.get("/api/statistics/v2/{account_id}")
    async def call(account_id: int, wait: bool = False) -> int:
        async with limiter.statistics(account_id, plan):
            if wait:
                running.append(asyncio.Event())
                await running[-1].wait()
        return 0

    @app.get("/api/link-group/v2/list")
    async def listing() -> int:
        await limiter.count_account(1, plan)
        return 0

    return app, running


def statuses(client: TestClient, path: str, count: int) -> list[int]:
    return [client.get(path).status_code for _ in range(count)]


@pytest.mark.parametrize("plan", DEFAULTS[1:], ids=lambda plan: plan.name)
def test_a_plan_allows_so_many_statistics_a_minute(plan: Plan) -> None:
    client = TestClient(statistics_app(plan)[0])
    allowed = plan.statistics_per_minute
    assert statuses(client, "/api/statistics/v2/1", allowed + 1) == [200] * allowed + [429]
    refused = client.get("/api/statistics/v2/1")
    assert (refused.json()["code"], refused.json()["result"]) == (1429, None)
    assert plan.name in refused.json()["message"]
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert client.get("/api/statistics/v2/2").status_code == 200, "another account has its own count"


def test_other_calls_share_the_minute_and_the_hour_but_not_the_statistics() -> None:
    plan = Plans().named("Business").model_copy(update={"per_minute": 40, "per_hour": 43})  # 2 statistics a minute
    client = TestClient(statistics_app(plan)[0])
    assert statuses(client, "/api/statistics/v2/1", 3) == [200, 200, 429]
    assert statuses(client, "/api/link-group/v2/list", 38) == [200] * 37 + [429]
    slow = plan.model_copy(update={"per_hour": 2})
    hourly = TestClient(statistics_app(slow)[0])
    assert statuses(hourly, "/api/link-group/v2/list", 3) == [200, 200, 429]
    assert int(hourly.get("/api/link-group/v2/list").headers["Retry-After"]) > 60


def test_accounts_are_not_counted_when_limits_are_off() -> None:
    plan = Plans().named("Personal").model_copy(update={"per_minute": 1})
    client = TestClient(statistics_app(plan, rate_limits="off")[0])
    assert statuses(client, "/api/statistics/v2/1", 4) == [200] * 4


def test_a_call_too_many_at_once_is_told_to_wait() -> None:
    app, running = statistics_app(Plans().named("Business"))

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client, asyncio.timeout(10):
            calls = [asyncio.ensure_future(client.get("/api/statistics/v2/1?wait=1")) for _ in range(2)]
            while len(running) < 2:
                await asyncio.sleep(0.005)
            refused = await client.get("/api/statistics/v2/1")
            assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (429, 1429, "1")
            running[0].set()
            await calls[0]
            assert (await client.get("/api/statistics/v2/1")).status_code == 200
            running[1].set()
            await calls[1]

    asyncio.run(main())


def test_a_statistics_call_of_a_plan_without_them_counts_as_a_call(db: ClickHouse) -> None:
    account_on(db, "Free")
    api = callers(db, plans='{"Free": {"per_minute": 2}}')
    assert [api.hourly().json()["code"] for _ in range(3)] == [1003, 1003, 1429]


# -- memory and Redis: the same -----------------------------------------------------------------------------------

Storage = MemoryStorage | RedisStorage
HOURLY, MINUTELY, RARE = Window("a", 4, HOUR), Window("a", 3, MINUTE), Window("b", 2, MINUTE)


Run = Callable[[Callable[[Storage], Awaitable[None]]], None]


@pytest.fixture(params=["memory", "redis"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs a test with a storage."""
    if request.param == "memory":
        yield lambda test: asyncio.run(with_storage(MemoryStorage, test))
        return
    with RedisServer(tmp_path) as redis:
        yield lambda test: asyncio.run(with_storage(lambda: RedisStorage(redis.url), test))


async def with_storage(make: Callable[[], Storage], test: Callable[[Storage], Awaitable[None]]) -> None:
    storage = make()
    try:
        await test(storage)
    finally:
        if isinstance(storage, RedisStorage):
            await storage.close()


def test_a_call_counts_in_each_window_up_to_the_one_that_refuses_it(run: Run) -> None:
    async def test(storage: Storage) -> None:
        began = time.time()
        counts = []
        for _ in range(6):
            hits, held = await storage.hit_all([HOURLY, MINUTELY, RARE])
            counts.append([(hit.count, hit.allowed) for hit in hits])
            assert not held
            for hit, window in zip(hits, (HOURLY, MINUTELY, RARE), strict=False):
                assert hit.window == window
                assert -0.1 < hit.reset - began - window.seconds < 1
                assert window.seconds - 5 <= hit.retry_after <= window.seconds
        ok, no = True, False
        assert counts == [
            [(1, ok), (1, ok), (1, ok)],
            [(2, ok), (2, ok), (2, ok)],
            [(3, ok), (3, ok), (3, no)],
            [(4, ok), (4, no)],
            [(5, no)],
            [(6, no)],
        ]

    run(test)


def test_names_amounts_and_spans_are_counted_apart(run: Run) -> None:
    async def test(storage: Storage) -> None:
        for window in (HOURLY, MINUTELY, RARE, Window("a", 5, HOUR), Window("a/b", 4, HOUR)):
            [hit], _ = await storage.hit_all([window])
            assert hit.count == 1

    run(test)


def test_a_window_begins_again_when_it_has_ended(run: Run) -> None:
    second = Window("short", 1, 1)

    async def test(storage: Storage) -> None:
        assert [(await storage.hit_all([second]))[0][0].allowed for _ in range(2)] == [True, False]
        await asyncio.sleep(1.1)
        assert (await storage.hit_all([second]))[0][0].allowed

    run(test)


def test_only_so_many_slots_are_held_at_once(run: Run) -> None:
    async def test(storage: Storage) -> None:
        slots, elsewhere = [Slot("x", 2) for _ in range(3)], Slot("y", 2)
        assert [(await storage.hit_all([], slot))[1] for slot in (*slots, elsewhere)] == [True, True, False, True]
        assert not await storage.release(slots[2]), "it was never held"
        assert not (await storage.hit_all([], slots[2]))[1]
        assert await storage.release(slots[0])
        assert not await storage.release(slots[0]), "once"
        assert (await storage.hit_all([], slots[2]))[1]

    run(test)


def test_a_refused_call_takes_no_slot(run: Run) -> None:
    async def test(storage: Storage) -> None:
        once = Window("once", 1, HOUR)
        for slot, held in ((Slot("x", 2), True), (Slot("x", 2), False)):
            assert (await storage.hit_all([once], slot))[1] == held
        assert (await storage.hit_all([], Slot("x", 2)))[1], "the second is still free"

    run(test)


def test_windows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1_800_000_000.0)
    monkeypatch.setattr(time, "time", clock)
    storage, window = MemoryStorage(), Window("a", 2, MINUTE)

    def hits(name: str, count: int) -> list[tuple[int, float]]:
        windows = [Window(name, 2, MINUTE)] * count
        found = [asyncio.run(storage.hit_all([window]))[0][0] for window in windows]
        return [(hit.count, hit.reset) for hit in found]

    end = clock.now + 60
    assert hits("a", 3) == [(1, end), (2, end), (3, end)]
    hits("b", 1)
    clock.now = end - 0.001
    assert hits("a", 1) == [(4, end)]
    clock.now = end
    assert hits("a", 1) == [(1, end + 60)]
    assert list(storage.windows) == [window.key]


@pytest.mark.parametrize("redis", [False, True])
def test_a_slot_is_free_again_when_its_call_is_cancelled(redis: bool, tmp_path: Path) -> None:
    plan = Plans().named("Personal")  # one at once

    async def main(url: str) -> None:
        limiter, taken = RateLimiter(Settings(redis_url=url)), asyncio.Event()

        async def hold() -> None:
            async with limiter.statistics(1, plan):
                taken.set()
                await asyncio.sleep(60)

        holding = asyncio.ensure_future(hold())
        await taken.wait()
        with pytest.raises(RateLimited, match="1 at once"):
            async with limiter.statistics(1, plan):
                pass
        holding.cancel()
        await asyncio.wait([holding])
        async with limiter.statistics(1, plan):
            pass
        await limiter.close()

    if redis:
        with RedisServer(tmp_path) as server:
            asyncio.run(main(server.url))
    else:
        asyncio.run(main(""))


# -- Redis ------------------------------------------------------------------------------------------------------


def test_a_slot_is_free_again_when_its_call_is_cancelled_on_the_way_to_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "REDIS_TIMEOUT_SECONDS", 20.0)
    plan = Plans().named("Personal")  # one at once

    async def main(redis: RedisServer) -> None:
        limiter = RateLimiter(Settings(redis_url=redis.url))

        async def call() -> None:
            async with limiter.statistics(1, plan):
                pass

        await call()  # connects
        redis.freeze()
        leaving = asyncio.ensure_future(call())
        await asyncio.sleep(0.1)  # sent, without a reply
        leaving.cancel()
        redis.resume()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        await call()
        await limiter.close()

    with RedisServer(tmp_path) as redis:
        asyncio.run(main(redis))


def counted(redis_url: str, test: Callable[[RateLimiter, RateLimiter], Awaitable[None]]) -> CollectorRegistry:
    """Runs the test with the limits of two processes; returns the metrics of the first."""
    first = CollectorRegistry()

    async def main() -> None:
        settings = Settings(redis_url=redis_url, requests_per_hour=3)
        both = RateLimiter(settings, first), RateLimiter(settings)
        try:
            await test(*both)
        finally:
            for limiter in both:
                await limiter.close()

    asyncio.run(main())
    return first


def a_request() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}})


async def remaining(limiter: RateLimiter) -> int:
    request = a_request()
    await limiter.count_key(request, "key", None)
    return int(request.state.rate_limit_headers["X-RateLimit-Remaining"])


def commands_sent(redis_url: str, call: Callable[[RateLimiter], Awaitable[None]]) -> list[str]:
    """The commands that clients send during the second of two calls, without those that scripts run in Redis."""

    async def main() -> list[str]:
        limiter, observer = RateLimiter(Settings(redis_url=redis_url)), Redis.from_url(redis_url)
        commands: list[str] = []
        await call(limiter)
        async with observer.monitor() as monitor, asyncio.timeout(10):
            await call(limiter)
            await observer.echo("end")
            while not commands or commands[-1] != "ECHO":
                seen = await monitor.next_command()
                if seen["client_type"] != "lua":
                    commands.append(seen["command"].split()[0])
        await limiter.close()
        await observer.aclose()
        return [command for command in commands if command not in ("HELLO", "CLIENT", "SELECT", "ECHO")]

    return asyncio.run(main())


def test_a_call_is_counted_in_one_round_trip(tmp_path: Path) -> None:
    plan = Plans().named("Business")

    async def statistics(limiter: RateLimiter) -> None:
        async with limiter.statistics(1, plan):
            pass

    with RedisServer(tmp_path) as redis:
        assert commands_sent(redis.url, statistics) == ["EVALSHA", "ZREM"], "the second frees the slot"
        assert commands_sent(redis.url, lambda limiter: limiter.count_account(1, plan)) == ["EVALSHA"]
        assert commands_sent(redis.url, lambda limiter: limiter.count_key(a_request(), "key", None)) == ["EVALSHA"]


def test_processes_count_together(tmp_path: Path) -> None:
    async def test(one: RateLimiter, other: RateLimiter) -> None:
        assert [await remaining(limiter) for limiter in (one, other, one)] == [2, 1, 0]

    with RedisServer(tmp_path) as redis:
        counted(redis.url, test)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_while_redis_is_away_each_process_counts_for_itself(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path) as redis:

        async def test(one: RateLimiter, other: RateLimiter) -> None:
            assert await remaining(one) == 2
            getattr(redis, how)()
            began = time.monotonic()
            assert await remaining(one) == 2
            assert time.monotonic() - began < 4 * REDIS_TIMEOUT_SECONDS
            began = time.monotonic()
            assert [await remaining(limiter) for limiter in (one, other, one)] == [1, 2, 0]
            assert time.monotonic() - began < 4 * REDIS_TIMEOUT_SECONDS, (
                "after a failure Redis is left alone for a while"
            )
            redis.kill()
            redis.start()
            await asyncio.sleep(AWAY_SECONDS)
            assert [await remaining(limiter) for limiter in (one, other)] == [2, 1]

        metrics = counted(redis.url, test)
    assert metrics.get_sample_value("clickmill_limits_counted_alone_total") == 3
    assert "this process counts calls for itself" in caplog.text
    assert "Redis is back" in caplog.text
