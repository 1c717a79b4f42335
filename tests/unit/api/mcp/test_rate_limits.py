"""A tool call counts as its REST call: both share one limit, and both get the rate-limit headers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.mcp_client import RawMcp
from tests.support.seed import Callers, account_on, callers

RANGE = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
LIMITS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@pytest.fixture
def api(db: ClickHouse) -> Iterator[Callers]:
    account_on(db, "Premium")
    made = callers(db, requests_per_hour=3)
    with made.client:
        yield made


def test_rest_and_mcp_draw_on_one_allowance(api: Callers) -> None:
    mcp, key = RawMcp(api.client), {"X-Api-Key": api.keys["publisher"]}
    assert api.clicks().headers["x-ratelimit-remaining"] == "2"
    called = mcp.call("get_clicks", RANGE, headers=key)
    assert called.result["_meta"]["headers"]["x-ratelimit-remaining"] == "1"
    assert all(called.headers[name] == called.result["_meta"]["headers"][name] for name in LIMITS)
    assert api.clicks().headers["x-ratelimit-remaining"] == "0"
    refused = mcp.call("get_clicks", RANGE, headers=key)
    assert (refused.failed, refused.body["status"]) == (True, 429)
    assert int(refused.result["_meta"]["headers"]["retry-after"]) > 0
    assert api.clicks().status_code == 429


def test_statistics_are_limited_by_the_plan(api: Callers) -> None:
    mcp, key = RawMcp(api.client), {"X-Api-Key": api.keys["account"]}
    answers = [mcp.call("get_clicks_by_hour", {"ymd": "2026-03-31"}, headers=key) for _ in range(16)]
    assert [answer.failed for answer in answers] == [False] * 15 + [True]
    assert (answers[-1].body["status"], answers[-1].body["code"]) == (429, 1429)
    assert api.hourly().status_code == 429


def test_looking_around_costs_nothing(api: Callers) -> None:
    mcp, key = RawMcp(api.client), {"X-Api-Key": api.keys["publisher"]}
    for _ in range(5):
        assert mcp.result("tools/list", headers=key)["tools"]
        assert mcp.result("resources/read", {"uri": "clickmill://tools"}, headers=key)["contents"]
    assert api.clicks().headers["x-ratelimit-remaining"] == "2"
