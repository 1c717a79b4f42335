"""Clicks by date over the real engine, as in contract §2; ranges and plans are tested with clicks by hour."""

from __future__ import annotations

from typing import Any

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import ACCOUNT, DOMAIN, Callers, Hourly, account_on, callers, insert_hourly, upsert

V1, V2 = "/api/statistics/v1/clicks-by-date", "/api/statistics/v2/clicks-by-date"
LINK = {"linkId": "abc", "domain": DOMAIN}
DAYS = {"startYmd": "2026-03-30", "endYmd": "2026-04-01"}


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def result(answer: Any) -> list[dict[str, Any]]:
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 0, "")
    rows: list[dict[str, Any]] = body["result"]
    return rows


def days(answer: Any) -> list[tuple[str, int, int]]:
    return [(row["ymd"], row["acesCnt"], row["pernCnt"]) for row in result(answer)]


def test_rows_ascend_within_the_range_and_days_without_clicks_are_left_out(db: ClickHouse, api: Callers) -> None:
    for day in ("2026-04-02", "2026-04-01", "2026-03-30", "2026-03-29"):
        insert_hourly(db, [Hourly(day, 4, clicks=3, users=[1])])
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=0, bots=3)])
    answer = api.shortener(V2, **DAYS, **LINK)
    assert days(answer) == [("2026-03-30", 3, 1), ("2026-04-01", 3, 1)]
    assert list(result(answer)[0]) == ["ymd", "acesCnt", "pernCnt"]


def test_users_are_unique_over_the_day_and_no_sum_of_hours(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-31", hour, clicks=5, users=[1, 2, hour + 10]) for hour in (1, 2, 3)])
    assert days(api.shortener(V2, **DAYS, **LINK)) == [("2026-03-31", 15, 5)]


def test_a_user_of_two_links_of_a_group_counts_once_a_day(db: ClickHouse, api: Callers) -> None:
    links = [{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": name, "grp_idx": 5} for name in "ab"]
    upsert(db, links=links)
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=2, users=[1, 2], link=name) for name in "abc"])
    insert_hourly(db, [Hourly("2026-04-01", 4, clicks=1, users=[1], link="a")])
    assert days(api.shortener(V2, **DAYS, grpIdx=5)) == [("2026-03-31", 4, 2), ("2026-04-01", 1, 1)]


def test_the_whole_account_is_read_from_its_own_grain(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=9, users=[1, 2], link=""), Hourly("2026-03-31", 4, clicks=5)])
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=7, link="", account=8)])
    assert days(api.shortener(V2, **DAYS)) == [("2026-03-31", 9, 2)]


def test_v1_rows_name_the_link(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=3, users=[1])])
    rows = result(api.shortener(V1, **DAYS, **LINK))
    assert rows == [{"ymd": "2026-03-31", "linkId": "abc", "domain": DOMAIN, "acesCnt": 3, "pernCnt": 1}]
    assert list(rows[0]) == ["ymd", "linkId", "domain", "acesCnt", "pernCnt"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        pytest.param({}, 1002, id="no-link"),
        pytest.param({"grpIdx": 5}, 1002, id="group-only"),
        pytest.param({"domain": DOMAIN}, 1002, id="no-link-id"),
        pytest.param({"linkId": "foreign", "domain": DOMAIN}, 1004, id="foreign"),
    ],
)
def test_v1_is_of_a_link_of_the_account_only(db: ClickHouse, api: Callers, given: dict[str, Any], code: int) -> None:
    insert_hourly(db, [Hourly("2026-03-31", 4, link="foreign", account=8)])
    assert api.shortener(V1, **DAYS, **given).json()["code"] == code


@pytest.mark.parametrize("given", [{"grpIdx": 5}, {"linkId": "abc", "domain": DOMAIN}], ids=["group", "link"])
def test_foreign_reads_as_unknown(db: ClickHouse, api: Callers, given: dict[str, Any]) -> None:
    unknown = api.shortener(V2, **DAYS, **given).json()
    upsert(db, links=[{"account_id": 8, "domain": DOMAIN, "link_id": "abc", "grp_idx": 5}])
    insert_hourly(db, [Hourly("2026-03-31", 4, account=8)])
    assert api.shortener(V2, **DAYS, **given).json() == unknown
    assert unknown["code"] == 1004


def test_personal_ignores_the_group(db: ClickHouse, api: Callers) -> None:
    account_on(db, "Personal")
    insert_hourly(db, [Hourly("2026-03-31", 4)])
    assert days(api.shortener(V2, **DAYS, **LINK, grpIdx="x")) == [("2026-03-31", 1, 0)]
    assert api.shortener(V2, **DAYS, grpIdx=5).json()["code"] == 1002


@pytest.mark.parametrize("path", [V1, V2], ids=["v1", "v2"])
def test_fill_lists_every_day_that_the_zone_has(db: ClickHouse, api: Callers, path: str) -> None:
    account_on(db, "Enterprise", "Pacific/Apia")
    insert_hourly(db, [Hourly("2011-12-31", 4, clicks=3, users=[1])])
    filled = days(api.shortener(path, startYmd="2011-12-28", endYmd="2012-01-01", fill=1, **LINK))
    assert filled == [
        ("2011-12-28", 0, 0),
        ("2011-12-29", 0, 0),
        ("2011-12-31", 3, 1),
        ("2012-01-01", 0, 0),
    ]


def test_days_that_the_rollup_cannot_hold_have_no_clicks(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("1970-01-01", 1, link=""), Hourly("2149-06-06", 1, link="")])
    assert days(api.shortener(V2, startYmd="1969-12-25", endYmd="1970-01-01")) == [("1970-01-01", 1, 0)]
    assert days(api.shortener(V2, startYmd="2149-06-06", endYmd="2149-06-30")) == [("2149-06-06", 1, 0)]
    assert days(api.shortener(V2, startYmd="9999-12-01", endYmd="9999-12-31")) == []
    assert api.shortener(V2, startYmd="9999-12-31", endYmd="9999-12-31", **LINK).json()["code"] == 1004
    assert len(days(api.shortener(V2, startYmd="0001-01-01", endYmd="0001-01-31", fill=1))) == 31
