"""Versions 1 and 3 of clicks by hour over the real engine (contract §2); what they share with version 2 is there."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.local_hours import local_hours
from api.statistics.clicks_by_hour import hour_status
from rollups.clickhouse import ClickHouse
from tests.support import some
from tests.support.clock import Clock
from tests.support.seed import (
    ACCOUNT,
    DOMAIN,
    Callers,
    Hourly,
    account_on,
    callers,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)

V1, V3 = "/api/statistics/v1/clicks-by-hour", "/api/statistics/v3/clicks-by-hour"
LINK = {"linkId": "abc", "domain": DOMAIN}


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def result(answer: Any) -> list[dict[str, Any]]:
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 0, "")
    rows: list[dict[str, Any]] = body["result"]
    return rows


def hours(answer: Any) -> list[tuple[str, int, int, int]]:
    return [(row["ymd"], row["hour"], row["acesCnt"], row["pernCnt"]) for row in result(answer)]


def test_v1_rows_name_the_link_and_their_hour_is_a_string(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-31", hour, clicks=2, users=[1], link="스타") for hour in (7, 0)])
    rows = result(api.shortener(V1, ymd="2026-03-31", linkId="스타", domain="VVD.bz/"))
    row = {"ymd": "2026-03-31", "linkId": "스타", "domain": DOMAIN, "acesCnt": 2, "pernCnt": 1}
    assert rows == [{**row, "hour": "0"}, {**row, "hour": "7"}]
    assert list(rows[0]) == ["ymd", "hour", "linkId", "domain", "acesCnt", "pernCnt"]


def test_v1_fills_as_v2_does(db: ClickHouse, api: Callers) -> None:
    account_on(db, "Business", "Europe/Berlin")
    upsert(db, links=[{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": "abc"}])
    rows = result(api.shortener(V1, ymd="2026-03-29", fill=1, **LINK))
    assert [row["hour"] for row in rows] == [str(hour) for hour in range(24) if hour != 2]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        pytest.param({}, 1002, id="no-link"),
        pytest.param({"grpIdx": 5}, 1002, id="group-only"),
        pytest.param({"linkId": "abc"}, 1002, id="no-domain"),
        pytest.param({"linkId": "abd", "domain": DOMAIN}, 1004, id="unknown"),
        pytest.param({"linkId": "foreign", "domain": DOMAIN}, 1004, id="foreign"),
    ],
)
def test_v1_is_of_a_link_of_the_account_only(db: ClickHouse, api: Callers, given: dict[str, Any], code: int) -> None:
    insert_hourly(db, [Hourly("2026-03-31", 4), Hourly("2026-03-31", 4, link="foreign", account=8)])
    assert api.shortener(V1, ymd="2026-03-31", **given).json()["code"] == code


def test_v3_rows_are_those_of_v2_day_after_day(db: ClickHouse, api: Callers) -> None:
    rows = [("2026-03-30", 23, 4, 2), ("2026-03-31", 0, 5, 3), ("2026-04-01", 9, 1, 0)]
    for day, hour, clicks, users in reversed(rows):
        insert_hourly(db, [Hourly(day, hour, clicks=clicks, users=range(users))])
    insert_hourly(db, [Hourly("2026-03-29", 1), Hourly("2026-04-02", 1)])
    answer = api.shortener(V3, startYmd="2026-03-30", endYmd="2026-04-01", **LINK)
    assert hours(answer) == rows
    assert all(set(row) == {"ymd", "hour", "acesCnt", "pernCnt"} for row in some(result(answer))), "status needs fill=1"


@pytest.mark.parametrize(
    ("plan", "days", "code"),
    [
        pytest.param("Personal", 7, 0, id="personal-7"),
        pytest.param("Personal", 8, 1005, id="personal-8"),
        pytest.param("Premium", 14, 0, id="premium-14"),
        pytest.param("Premium", 15, 1005, id="premium-15"),
        pytest.param("Business", 31, 0, id="business-31"),
        pytest.param("Business", 32, 1005, id="business-32"),
        pytest.param("Enterprise", 31, 0, id="enterprise-31"),
        pytest.param("Enterprise", 32, 1005, id="enterprise-32"),
        pytest.param("Enterprise", 0, 1005, id="inverted"),
        pytest.param("Enterprise", 400_000, 1005, id="1000-years"),
    ],
)
@pytest.mark.parametrize("path", [V3, "/api/statistics/v2/clicks-by-date"], ids=["v3-by-hour", "v2-by-date"])
def test_longest_range(db: ClickHouse, api: Callers, path: str, plan: str, days: int, code: int) -> None:
    account_on(db, plan)
    insert_hourly(db, [Hourly("2026-03-01", 4)])
    end = date(2026, 3, 1) + timedelta(days=days - 1)
    body = api.shortener(path, startYmd="2026-03-01", endYmd=end, **LINK).json()
    assert body["code"] == code
    assert (body["result"] is None) == bool(code)


def test_the_longest_range_is_a_setting(db: ClickHouse) -> None:
    account_on(db, "Premium")
    api = callers(db, plans='{"Premium": {"range_days": 2}}')
    assert api.shortener(V3, startYmd="2026-03-01", endYmd="2026-03-02").json()["code"] == 0
    assert api.shortener(V3, startYmd="2026-03-01", endYmd="2026-03-03").json()["code"] == 1005


# Local days around clock changes, and the number of hours in each.
@pytest.mark.parametrize(
    ("zone", "first", "lengths"),
    [
        pytest.param("Europe/Berlin", "2026-03-28", [24, 23, 24], id="berlin-23-hours"),
        pytest.param("Europe/Berlin", "2026-10-24", [24, 24, 24], id="berlin-25-hours-the-doubled-one-once"),
        pytest.param("America/New_York", "2026-03-07", [24, 23, 24], id="new-york-23-hours"),
        pytest.param("Asia/Kathmandu", "2026-03-28", [24, 24], id="kathmandu-45-minutes"),
        pytest.param("Australia/Lord_Howe", "2026-10-03", [24, 24, 24], id="lord-howe-loses-half-an-hour"),
        pytest.param("Australia/Lord_Howe", "2026-04-04", [24, 24, 24], id="lord-howe-gains-half-an-hour"),
        pytest.param("Antarctica/Troll", "2026-03-28", [24, 22, 24], id="troll-loses-two-hours"),
        pytest.param("Africa/Cairo", "2026-04-23", [24, 23, 24], id="cairo-has-no-midnight"),
        pytest.param("Pacific/Apia", "2011-12-29", [24, 0, 24], id="apia-has-no-30th"),
    ],
)
def test_fill_lists_every_hour_that_the_local_days_have(
    db: ClickHouse, api: Callers, zone: str, first: str, lengths: list[int]
) -> None:
    account_on(db, "Enterprise", zone)
    start = date.fromisoformat(first)
    days = [(start + timedelta(days=number)).isoformat() for number in range(len(lengths))]
    rows = hours(api.shortener(V3, startYmd=days[0], endYmd=days[-1], fill=1))
    assert [sum(row[0] == day for row in rows) for day in days] == lengths
    assert rows == sorted(rows)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("zone", "day", "hour", "starts", "ends"),
    [
        pytest.param("UTC", "2026-03-31", 4, "2026-03-31T04:00", "2026-03-31T05:00", id="utc"),
        pytest.param("Asia/Kathmandu", "2026-03-31", 4, "2026-03-30T22:15", "2026-03-30T23:15", id="kathmandu"),
        pytest.param("Europe/Berlin", "2026-10-25", 2, "2026-10-25T00:00", "2026-10-25T02:00", id="berlin-both-of-two"),
        pytest.param(
            "Australia/Lord_Howe", "2026-04-05", 1, "2026-04-04T14:00", "2026-04-04T15:30", id="lord-howe-1.5"
        ),
        pytest.param(
            "Australia/Lord_Howe", "2026-10-04", 2, "2026-10-03T15:30", "2026-10-03T16:00", id="lord-howe-0.5"
        ),
        pytest.param("Europe/Berlin", "2026-03-29", 2, "2026-03-29T01:00", "2026-03-29T02:00", id="berlin-missing"),
    ],
)
def test_an_hour_is_future_until_it_starts_and_final_once_everything_of_it_is_counted(
    zone: str, day: str, hour: int, starts: str, ends: str
) -> None:
    def status(as_of: float | None, now: float) -> str:
        return hour_status(date.fromisoformat(day), hour, ZoneInfo(zone), as_of=as_of, now=now)

    assert status(at(starts) - 2, at(starts) - 1) == "future"
    assert status(at(starts) - 2, at(starts)) == "open"
    assert status(at(ends) - 0.001, at(ends) + 9999) == "open", "over, but not everything is counted"
    assert status(at(ends), at(ends)) == "final"
    assert status(None, at(ends) + 9999) == "open", "nobody knows what is counted"


def test_v3_filled_rows_have_a_status_that_moves_on_while_the_counts_come_from_memory(db: ClickHouse) -> None:
    account_on(db, "Enterprise")
    clock = Clock(100.0)
    api = callers(db, clock)
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_hourly(db, [Hourly("2026-03-31", 4, link="", clicks=2)])
    seen = []
    for as_of, over in (
        ("2026-03-31 04:59:59.999", 4),
        ("2026-03-31 05:00:00.000", 5),
        ("2026-04-01 00:00:00.000", 24),
    ):
        insert_watermark(db, 1, 0, as_of)
        clock.now += 0.5
        answer = api.shortener(V3, startYmd="2026-03-31", endYmd="2026-03-31", fill=1)
        rows = result(answer)
        assert [row["status"] for row in rows] == ["final"] * over + ["open"] * (24 - over)
        assert [row["acesCnt"] for row in rows] == [2 if hour == 4 else 0 for hour in range(24)]
        assert (answer.headers["Cache-Control"] == "private, max-age=60") == (over == 24)
        seen.append(answer.headers["ETag"])
    assert len(set(seen)) == 3


def test_hours_to_come_are_future(api: Callers) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    rows = result(api.shortener(V3, startYmd=tomorrow, endYmd=tomorrow, fill=1))
    assert {row["status"] for row in rows} == {"future"}


@pytest.mark.parametrize(("day", "status"), [("0001-01-01", "open"), ("9999-12-31", "future")])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_first_and_the_last_day_of_all_have_hours(
    db: ClickHouse, api: Callers, zone: str, day: str, status: str
) -> None:
    account_on(db, "Enterprise", zone)
    rows = result(api.shortener(V3, startYmd=day, endYmd=day, fill=1))
    assert [row["hour"] for row in rows] == list(range(24))
    assert {row["status"] for row in rows} == {status}


def test_clicks_of_an_hour_that_the_day_does_not_have_keep_their_row_and_have_a_status(
    db: ClickHouse, api: Callers
) -> None:
    account_on(db, "Enterprise", "Europe/Berlin")
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-04-01 00:00:00")
    insert_hourly(db, [Hourly("2026-03-29", 2, clicks=4, link="")])  # from before the account changed its zone
    rows = result(api.shortener(V3, startYmd="2026-03-29", endYmd="2026-03-29", fill=1))
    assert (rows[2]["hour"], rows[2]["acesCnt"], rows[2]["status"]) == (2, 4, "final")
    assert len(rows) == 24


def test_every_hour_of_a_day_has_a_status_of_its_own_even_where_two_share_a_moment() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    day = local_hours(date(2026, 4, 5), zone)
    assert [hour.hour for hour in day] == list(range(24))
    assert sum(hour.ends - hour.starts for hour in day) == 24.5 * 3600
