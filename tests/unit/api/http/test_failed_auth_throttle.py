"""Delays of 401 responses: by address and in all, within bounds, and never for a caller with a key."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.http import failed_auth_throttle
from api.http.failed_auth_throttle import MAX_DELAY_SECONDS, LeakyBuckets, network_of
from api.http.middleware import DelayFailedAuth
from rollups.clickhouse import ClickHouse
from tests.support.clock import Clock
from tests.support.seed import callers


def test_a_burst_is_free_and_what_follows_comes_evenly() -> None:
    clock = Clock(1000.0)
    buckets = LeakyBuckets(10.0, 5, clock)
    assert [round(buckets.add("a"), 3) for _ in range(8)] == [0, 0, 0, 0, 0, 0.1, 0.2, 0.3]
    assert buckets.add("b") == 0
    clock.now += 0.8
    assert [round(buckets.add("a"), 3) for _ in range(6)] == [0, 0, 0, 0, 0, 0.1], "rest is never more than a burst"


def test_nobody_waits_longer_than_the_longest_however_many_came() -> None:
    clock = Clock(1000.0)
    buckets = LeakyBuckets(10.0, 5, clock)
    assert max(buckets.add("a") for _ in range(10_000)) == MAX_DELAY_SECONDS
    clock.now += MAX_DELAY_SECONDS + 0.5
    assert buckets.add("a") == 0


def test_the_names_that_are_remembered_are_bounded() -> None:
    buckets = LeakyBuckets(10.0, 1, Clock(1000.0), most=3)
    assert [buckets.add(name) for name in "abcdefg"] == [0] * 7
    assert all(buckets.add(name) > 0 for name in "efg")
    assert buckets.add("d") == 0, "it was forgotten"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", ""),
        ("x" * 10_000, ""),
        ("", ""),
    ],
)
def test_what_stands_for_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


def answered(status: int, times: int, address: str = "203.0.113.9") -> list[float]:
    """The seconds that each of so many concurrent requests takes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=status)(scope, receive, send)

    async def main() -> list[float]:
        paced = DelayFailedAuth(app)

        async def one() -> float:
            async def ignore(_: Message) -> None:
                pass

            async def receive() -> Message:
                return {"type": "http.request"}

            began = time.monotonic()
            await paced({"type": "http", "method": "GET", "client": (address, 1)}, receive, ignore)
            return time.monotonic() - began

        return await asyncio.gather(*(one() for _ in range(times)))

    return asyncio.run(main())


def test_refusals_of_an_address_are_paced_and_answers_are_not() -> None:
    refused = answered(401, failed_auth_throttle.BURST + 10)
    assert max(refused[: failed_auth_throttle.BURST]) < 0.4
    assert refused[-1] >= 10 / failed_auth_throttle.PER_SECOND * 0.9
    assert max(answered(200, 200)) < 0.4


def test_so_many_may_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_auth_throttle, "MAX_WAITING", 5)
    waited = [seconds for seconds in answered(401, failed_auth_throttle.BURST + 200) if seconds > 0.04]
    assert len(waited) <= 5


def test_refused_callers_wait_and_one_with_a_key_does_not(db: ClickHouse) -> None:
    api = callers(db)
    assert api.clicks().status_code == 200
    began = time.monotonic()
    assert {api.clicks("unknown").status_code for _ in range(failed_auth_throttle.BURST + 10)} == {401}
    assert time.monotonic() - began >= 10 / failed_auth_throttle.PER_SECOND * 0.9
    began = time.monotonic()
    assert api.clicks().status_code == 200
    assert time.monotonic() - began < 0.4
