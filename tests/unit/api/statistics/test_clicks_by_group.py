"""Clicks by group over the real engine, as in contract §2."""

from __future__ import annotations

from typing import Any

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import ACCOUNT, DOMAIN, Callers, Hourly, account_on, callers, insert_hourly, upsert

V1, V2 = "/api/link/v1/clicks-by-group", "/api/link/v2/clicks-by-group"
DAYS = {"startYmd": "2026-03-30", "endYmd": "2026-04-01"}


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def groups(db: ClickHouse, count: int) -> None:
    upsert(db, groups=[{"account_id": ACCOUNT, "grp_idx": n, "name": f"g{n}"} for n in range(1, count + 1)])


def link(db: ClickHouse, link_id: str, grp_idx: int) -> None:
    upsert(db, links=[{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": link_id, "grp_idx": grp_idx}])


def result(answer: Any) -> list[dict[str, Any]]:
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 0, "")
    rows: list[dict[str, Any]] = body["result"]["list"]
    return rows


def clicks(answer: Any) -> list[tuple[int, str | None, int, int]]:
    return [(row["grpIdx"], row["grpNm"], row["acesCnt"], row["pernCnt"]) for row in result(answer)]


def test_a_user_of_two_links_two_hours_and_two_days_counts_once_in_a_group(db: ClickHouse, api: Callers) -> None:
    for name, number in (("a", 1), ("b", 1), ("c", 2), ("d", 0)):
        link(db, name, number)
    groups(db, 3)
    insert_hourly(db, [Hourly("2026-03-30", 4, clicks=3, users=[1, 2], link=name) for name in "abcd"])
    insert_hourly(db, [Hourly("2026-04-01", 9, clicks=2, users=[2, 3], link="a"), Hourly("2026-04-02", 9, link="a")])
    insert_hourly(db, [Hourly("2026-03-30", 4, link="a", account=8), Hourly("2026-03-30", 4, link="a", domain="x")])
    answer = api.shortener(V2, **DAYS)
    assert clicks(answer) == [(1, "g1", 8, 3), (2, "g2", 3, 2), (3, "g3", 0, 0)]
    assert list(result(answer)[0]) == ["grpIdx", "grpNm", "acesCnt", "pernCnt"]
    assert clicks(api.shortener(V2, **DAYS, grpIdxList="2,1")) == [(1, "g1", 8, 3), (2, "g2", 3, 2)]
    assert clicks(api.shortener(V1, ymd="2026-03-30", grpIdxList="1")) == [(1, "g1", 6, 2)]


def test_membership_is_todays(db: ClickHouse, api: Callers) -> None:
    groups(db, 2)
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=3, link="a")])
    link(db, "a", 1)
    assert [row[2] for row in clicks(api.shortener(V2, **DAYS))] == [3, 0]
    link(db, "a", 2)
    assert [row[2] for row in clicks(api.shortener(V2, **DAYS))] == [0, 3]


def test_v1_takes_grp_idx_for_its_list_and_v2_does_not(db: ClickHouse, api: Callers) -> None:
    groups(db, 3)
    assert [row[0] for row in clicks(api.shortener(V1, ymd="2026-03-31", grpIdx="1,3"))] == [1, 3]
    assert [row[0] for row in clicks(api.shortener(V2, **DAYS, grpIdx="1,3"))] == [1, 2, 3]
    assert api.shortener(V1, ymd="2026-03-31", grpIdx="1", grpIdxList="1").json()["code"] == 1001


@pytest.mark.parametrize(
    ("plan", "asked", "code"),
    [
        pytest.param("Personal", "1", 1003, id="personal"),
        pytest.param("Premium", None, 1001, id="premium-without-a-list"),
        pytest.param("Premium", "1,2,3,4,5", 0, id="premium-5-groups"),
        pytest.param("Premium", "1,2,3,4,5,6", 1003, id="premium-6-groups"),
        pytest.param("Business", "1,2,3,4,5,6", 0, id="business-6-groups"),
        pytest.param("Business", None, 0, id="business-all"),
        pytest.param("Business", "1,99", 1004, id="one-unknown"),
        pytest.param("Business", "8", 1004, id="foreign"),
        pytest.param("Business", "", 1001, id="empty"),
    ],
)
@pytest.mark.parametrize("path", [V1, V2], ids=["v1", "v2"])
def test_groups_by_plan(db: ClickHouse, api: Callers, path: str, plan: str, asked: str | None, code: int) -> None:
    account_on(db, plan)
    groups(db, 6)
    upsert(db, groups=[{"account_id": 8, "grp_idx": 8, "name": "theirs"}])
    given = {} if asked is None else {"grpIdxList": asked}
    assert api.shortener(path, ymd="2026-03-31", **DAYS, **given).json()["code"] == code


@pytest.mark.parametrize(
    ("plan", "end", "code"),
    [
        pytest.param("Premium", "2026-03-14", 0, id="premium-14"),
        pytest.param("Premium", "2026-03-15", 1005, id="premium-15"),
        pytest.param("Business", "2026-03-31", 0, id="business-31"),
        pytest.param("Business", "2026-04-01", 1005, id="business-32"),
        pytest.param("Business", "2026-02-28", 1005, id="inverted"),
    ],
)
def test_longest_range(db: ClickHouse, api: Callers, plan: str, end: str, code: int) -> None:
    account_on(db, plan)
    groups(db, 1)
    answer = api.shortener(V2, startYmd="2026-03-01", endYmd=end, grpIdxList="1")
    assert answer.json()["code"] == code
