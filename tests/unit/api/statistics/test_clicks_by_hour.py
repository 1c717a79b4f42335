"""`GET /api/statistics/v2/clicks-by-hour` over the real engine, as in contract §2."""

from __future__ import annotations

from typing import Any

import pytest

from rollups.clickhouse import ClickHouse
from tests.support import some
from tests.support.seed import ACCOUNT, DOMAIN, Callers, Hourly, account_on, callers, insert_hourly, upsert

DAY = "2026-03-31"


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def counts(answer: Any) -> list[tuple[int, int, int]]:
    assert answer.status_code == 200
    body = answer.json()
    assert (body["code"], body["message"]) == (0, "")
    return [(row["hour"], row["acesCnt"], row["pernCnt"]) for row in body["result"]]


def link(db: ClickHouse, link_id: str, grp_idx: int = 0, account_id: int = ACCOUNT) -> None:
    upsert(db, links=[{"account_id": account_id, "domain": DOMAIN, "link_id": link_id, "grp_idx": grp_idx}])


def test_envelope_and_row(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2025-04-20", 0, clicks=24, users=range(17))])
    answer = api.hourly(ymd="2025-04-20", linkId="abc", domain=DOMAIN)
    row = {"ymd": "2025-04-20", "hour": 0, "acesCnt": 24, "pernCnt": 17}
    assert answer.json() == {"code": 0, "message": "", "result": [row]}


def test_hours_ascend_and_only_those_with_clicks_are_listed(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(DAY, hour) for hour in (23, 4, 0)] + [Hourly(DAY, 7, clicks=0, bots=3)])
    assert [hour for hour, *_ in counts(api.hourly(linkId="abc", domain=DOMAIN))] == [0, 4, 23]


def test_bots_are_not_counted(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(DAY, 4, clicks=2, bots=50, users=[1])])
    assert counts(api.hourly(linkId="abc", domain=DOMAIN)) == [(4, 2, 1)]


def test_other_days_and_accounts_are_not_counted(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-30", 4), Hourly(DAY, 4, account=8), Hourly(DAY, 4, clicks=3)])
    assert counts(api.hourly(linkId="abc", domain=DOMAIN)) == [(4, 3, 0)]


def test_a_user_of_two_links_of_a_group_counts_once(db: ClickHouse, api: Callers) -> None:
    for name, group in (("a", 5), ("b", 5), ("c", 6), ("d", 0)):
        link(db, name, group)
    insert_hourly(db, [Hourly(DAY, 4, clicks=3, users=[1, 2], link=name) for name in "abcd"])
    insert_hourly(db, [Hourly(DAY, 9, clicks=1, users=[3], link="b")])
    assert counts(api.hourly(grpIdx=5)) == [(4, 6, 2), (9, 1, 1)]


def test_membership_of_a_group_is_todays(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(DAY, 4, link="a")])
    link(db, "a", 5)
    link(db, "a", 6)
    assert counts(api.hourly(grpIdx=6)) == [(4, 1, 0)]
    assert api.hourly(grpIdx=5).json()["code"] == 1004


def test_the_whole_account_is_read_from_its_own_grain(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(DAY, 4, clicks=9, users=[1, 2, 3], link=""), Hourly(DAY, 4, clicks=5)])
    assert counts(api.hourly()) == [(4, 9, 3)]


def test_an_account_without_clicks_has_an_empty_result(api: Callers) -> None:
    assert counts(api.hourly()) == []


def test_link_and_group_both_given_means_the_link(db: ClickHouse, api: Callers) -> None:
    link(db, "b", 5)
    insert_hourly(db, [Hourly(DAY, 4, clicks=1), Hourly(DAY, 4, clicks=2, link="b")])
    assert counts(api.hourly(linkId="abc", domain=DOMAIN, grpIdx=5)) == [(4, 1, 0)]


@pytest.mark.parametrize(
    "domain",
    [
        pytest.param("https://vvd.bz", id="with-scheme"),
        pytest.param("vvd.bz", id="https-is-assumed"),
        pytest.param("https://VVD.bz", id="host-case"),
        pytest.param("https://vvd.bz/", id="trailing-slash"),
    ],
)
def test_ways_to_write_the_domain(db: ClickHouse, api: Callers, domain: str) -> None:
    insert_hourly(db, [Hourly(DAY, 4)])
    assert counts(api.hourly(linkId="abc", domain=domain)) == [(4, 1, 0)]


def test_another_scheme_is_another_domain(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(DAY, 4)])
    assert api.hourly(linkId="abc", domain="http://vvd.bz").json()["code"] == 1004


@pytest.mark.parametrize(
    "link_id",
    [
        pytest.param("한글링크", id="hangul"),
        pytest.param("é", id="composed"),
        pytest.param("e\u0301", id="decomposed"),
        pytest.param("a b/c?d&e=f%20+#", id="reserved-characters"),
        pytest.param("'; DROP TABLE rollup --\\", id="quotes-and-backslash"),
        pytest.param("{link:String}", id="placeholder"),
        pytest.param("a\tb\nc\0d", id="control-characters"),
        pytest.param("👩‍👩‍👧", id="emoji"),
    ],
)
def test_a_link_id_may_be_any_unicode_and_is_matched_exactly(db: ClickHouse, api: Callers, link_id: str) -> None:
    insert_hourly(db, [Hourly(DAY, 4, clicks=2, link=link_id)])
    assert counts(api.hourly(linkId=link_id, domain=DOMAIN)) == [(4, 2, 0)]
    assert api.hourly(linkId=link_id + "x", domain=DOMAIN).json()["code"] == 1004


def test_a_link_id_is_case_sensitive(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(DAY, 4, clicks=1, link="abc"), Hourly(DAY, 4, clicks=2, link="ABC")])
    assert counts(api.hourly(linkId="ABC", domain=DOMAIN)) == [(4, 2, 0)]


def test_there_are_never_more_users_than_clicks(db: ClickHouse, api: Callers) -> None:
    db.command(
        "INSERT INTO rollup (grain, owner, day, hour, clicks, users) "
        "SELECT 'account_hour', 7, toDate('2026-03-31'), number % 24, 10000, "
        "arrayReduce('uniqState', arrayMap(x -> cityHash64(x + number * 1000000), range(10000))) "
        "FROM numbers(24 * 20)"
    )
    for _, clicks, users in some(counts(api.hourly())):
        assert users <= clicks == 200_000
        assert users > 0.98 * clicks


@pytest.mark.parametrize(
    ("arrange", "asked", "code"),
    [
        pytest.param("catalogued", {"linkId": "abc", "domain": DOMAIN}, 0, id="link-of-the-catalogue"),
        pytest.param("clicked", {"linkId": "abc", "domain": DOMAIN}, 0, id="link-with-clicks-another-day"),
        pytest.param("bots", {"linkId": "abc", "domain": DOMAIN}, 0, id="link-with-bots-only"),
        pytest.param("nothing", {"linkId": "abc", "domain": DOMAIN}, 1004, id="link-unknown"),
        pytest.param("foreign", {"linkId": "abc", "domain": DOMAIN}, 1004, id="link-foreign"),
        pytest.param("named", {"grpIdx": "5"}, 0, id="group-without-links"),
        pytest.param("catalogued", {"grpIdx": "5"}, 0, id="group-that-a-link-is-in"),
        pytest.param("nothing", {"grpIdx": "5"}, 1004, id="group-unknown"),
        pytest.param("foreign", {"grpIdx": "5"}, 1004, id="group-foreign"),
        pytest.param("nothing", {"grpIdx": "0"}, 1004, id="group-0-is-no-group"),
        pytest.param("nothing", {"grpIdx": "-1"}, 1004, id="group-negative"),
        pytest.param("nothing", {"grpIdx": str(2**64)}, 1004, id="group-huge"),
    ],
)
def test_what_exists(db: ClickHouse, api: Callers, arrange: str, asked: dict[str, str], code: int) -> None:
    link(db, "loose", 0)
    if arrange == "catalogued":
        link(db, "abc", 5)
    elif arrange == "clicked":
        insert_hourly(db, [Hourly("2020-01-01", 4)])
    elif arrange == "bots":
        insert_hourly(db, [Hourly(DAY, 4, clicks=0, bots=1)])
    elif arrange == "foreign":
        link(db, "abc", 5, account_id=8)
        upsert(db, groups=[{"account_id": 8, "grp_idx": 5, "name": "theirs"}])
        insert_hourly(db, [Hourly(DAY, 4, account=8)])
    elif arrange == "named":
        upsert(db, groups=[{"account_id": ACCOUNT, "grp_idx": 5, "name": "ours"}])
    answer = api.hourly(**asked)
    assert answer.status_code == 200
    assert answer.json()["code"] == code
    assert answer.json()["result"] == (None if code else [])


@pytest.mark.parametrize(
    ("zone", "day", "missing"),
    [
        pytest.param("UTC", "2026-03-29", [], id="utc"),
        pytest.param("Europe/Berlin", "2026-03-28", [], id="berlin-ordinary"),
        pytest.param("Europe/Berlin", "2026-03-29", [2], id="berlin-23-hours"),
        pytest.param("Europe/Berlin", "2026-10-25", [], id="berlin-25-hours-the-doubled-one-once"),
        pytest.param("Asia/Kolkata", "2026-03-29", [], id="kolkata-half-hour-offset"),
        pytest.param("Australia/Lord_Howe", "2026-10-04", [], id="lord-howe-loses-half-an-hour"),
        pytest.param("Africa/Cairo", "2026-04-24", [0], id="cairo-has-no-midnight"),
        pytest.param("Pacific/Apia", "2011-12-30", list(range(24)), id="apia-has-no-such-day"),
    ],
)
def test_fill_lists_every_hour_that_the_local_day_has(
    db: ClickHouse, api: Callers, zone: str, day: str, missing: list[int]
) -> None:
    account_on(db, "Enterprise", zone)
    answer = api.hourly(ymd=day, fill=1)
    assert counts(answer) == [(hour, 0, 0) for hour in range(24) if hour not in missing]
    assert {row["ymd"] for row in answer.json()["result"]} <= {day}


def test_fill_keeps_the_counts_and_never_hides_clicks(db: ClickHouse, api: Callers) -> None:
    account_on(db, "Enterprise", "Europe/Berlin")
    rows = [Hourly("2026-03-29", 2, clicks=4, users=[1], link=""), Hourly("2026-03-29", 3, clicks=5, link="")]
    insert_hourly(db, rows)  # hour 2 is from before the account changed its zone
    filled = counts(api.hourly(ymd="2026-03-29", fill=1))
    assert [hour for hour, *_ in filled] == list(range(24))
    assert filled[2:4] == [(2, 4, 1), (3, 5, 0)]


@pytest.mark.parametrize("fill", [pytest.param(v, id=v or "empty") for v in ("0", "", "true", "2")])
def test_only_fill_1_fills(api: Callers, fill: str) -> None:
    assert counts(api.hourly(fill=fill)) == []


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2149-06-07", "9999-12-31"])
def test_days_that_the_rollup_cannot_hold_have_no_clicks(db: ClickHouse, api: Callers, day: str) -> None:
    account_on(db, "Enterprise", "America/New_York")
    insert_hourly(db, [Hourly("1970-01-01", 1, link=""), Hourly("2149-06-06", 1, link="")])
    assert counts(api.hourly(ymd=day)) == []
    assert len(counts(api.hourly(ymd=day, fill=1))) == 24


def test_unknown_parameters_are_ignored(api: Callers) -> None:
    assert counts(api.hourly(pages="x", startYmd="x")) == []


def test_an_account_without_an_entry_is_on_personal_and_in_utc(db: ClickHouse) -> None:
    api = callers(db)
    insert_hourly(db, [Hourly(DAY, 4)])
    assert api.hourly().json()["code"] == 1002
    assert len(counts(api.hourly(linkId="abc", domain=DOMAIN, fill=1))) == 24
