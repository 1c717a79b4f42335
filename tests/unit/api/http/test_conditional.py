"""ETag, If-None-Match, Cache-Control and Vary of the calls that return data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.dates import parse_day
from api.http.conditional import day_has_ended
from api.query.response_cache import POLL_SECONDS
from rollups.clickhouse import ClickHouse
from tests.support.clock import Clock
from tests.support.seed import Callers, Daily, Hourly, account_on, callers, insert_daily, insert_hourly

CLOSED = "2026-03-31"


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def api(db: ClickHouse, clock: Clock) -> Callers:
    account_on(db, "Enterprise")
    return callers(db, clock)


CALLS: list[Callable[[Callers, str | None], Any]] = [
    lambda api, etag: conditional(api, "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31", etag),
    lambda api, etag: conditional(api, "/api/statistics/v2/clicks-by-hour?ymd=2026-03-31", etag),
]


def conditional(api: Callers, path: str, etag: str | None) -> Any:
    role = "publisher" if "v1/clicks" in path else "account"
    headers = {"X-Api-Key": api.keys[role], "Authorization": f"APIKey {api.keys[role]}"}
    return api.client.get(path, headers=headers if etag is None else headers | {"If-None-Match": etag})


@pytest.mark.parametrize("call", CALLS, ids=["daily", "hourly"])
def test_a_validator_saves_the_body_until_the_response_changes(
    db: ClickHouse, api: Callers, clock: Clock, call: Callable[[Callers, str | None], Any]
) -> None:
    fresh = call(api, None)
    etag = fresh.headers["ETag"]
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = call(api, named)
        assert (same.status_code, same.content) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary"):
            assert same.headers[name] == fresh.headers[name]
        assert "content-type" not in same.headers
    assert call(api, '"other"').status_code == 200
    insert_daily(db, [Daily(CLOSED)])
    insert_hourly(db, [Hourly(CLOSED, 4, link="")])
    clock.now += POLL_SECONDS
    changed = call(api, etag)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_responses_about_ended_days_may_be_cached_by_the_client_alone(api: Callers) -> None:
    tomorrow = date.today() + timedelta(days=1)
    for answer, kept in (
        (api.clicks(), "private, max-age=60"),
        (api.hourly(), "private, max-age=60"),
        (api.clicks(start_date=str(tomorrow), end_date=str(tomorrow)), "private, no-cache"),
        (api.hourly(ymd=str(tomorrow)), "private, no-cache"),
    ):
        assert answer.headers["Cache-Control"] == kept
        assert answer.headers["Vary"] == "Accept, X-Api-Key, Authorization"


def test_a_day_ends_in_its_zone() -> None:
    now = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
    day = parse_day("2026-03-31")
    assert day
    assert not day_has_ended(day, UTC, now)
    assert day_has_ended(day, ZoneInfo("Asia/Seoul"), now)
    assert not day_has_ended(day, ZoneInfo("America/New_York"), now + timedelta(hours=1))
