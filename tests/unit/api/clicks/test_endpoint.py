"""`GET /api/v1/clicks` over the real engine: rows, names, scope, order and meta as in contract §1."""

from __future__ import annotations

from typing import Any

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import PUBLISHER, Callers, Daily, callers, insert_daily, upsert

ROW_KEYS = [
    "advertiser_id",
    "advertiser_name",
    "advertiser_slug",
    "publisher_id",
    "publisher_name",
    "network_id",
    "network_name",
    "click_date",
    "click_count",
]
META_KEYS = [
    "current_page",
    "next_page",
    "prev_page",
    "total_pages",
    "total_count",
    "start_date",
    "end_date",
    "days",
    "publisher_id",
]


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    return callers(db)


def identities(answer: Any) -> list[tuple[str, int, int, int, int]]:
    return [
        (r["click_date"], r["click_count"], r["advertiser_id"], r["publisher_id"], r["network_id"])
        for r in answer.json()["data"]
    ]


def test_answers_the_sample_of_the_seed(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-31", clicks=120, advertiser=123, network=7)])
    upsert(
        db,
        advertisers=[{"advertiser_id": 123, "name": "Alpha Store", "slug": "alpha-store"}],
        publishers=[{"publisher_id": 45, "name": "Example Publisher"}],
        networks=[{"network_id": 7, "name": "Awin"}],
    )
    answer = api.clicks()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "data": [
            {
                "advertiser_id": 123,
                "advertiser_name": "Alpha Store",
                "advertiser_slug": "alpha-store",
                "publisher_id": 45,
                "publisher_name": "Example Publisher",
                "network_id": 7,
                "network_name": "Awin",
                "click_date": "2026-03-31",
                "click_count": 120,
            }
        ],
        "meta": {
            "current_page": 1,
            "next_page": None,
            "prev_page": None,
            "total_pages": 1,
            "total_count": 1,
            "start_date": "2026-03-01",
            "end_date": "2026-03-31",
            "days": 31,
            "publisher_id": 45,
        },
    }
    assert list(answer.json()["data"][0]) == ROW_KEYS
    assert list(answer.json()["meta"]) == META_KEYS


def test_an_id_without_an_entry_has_null_names_and_is_not_dropped(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-31", clicks=2)])
    row = api.clicks().json()["data"][0]
    names = ("advertiser_name", "advertiser_slug", "publisher_name", "network_name")
    assert [row[name] for name in names] == [None] * 4
    assert list(row) == ROW_KEYS


def test_the_newest_name_is_served_once(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-31")])
    for name in ("Old", "New"):
        upsert(db, publishers=[{"publisher_id": PUBLISHER, "name": name}])
    assert [row["publisher_name"] for row in api.clicks().json()["data"]] == ["New"]


def test_parts_of_a_row_are_one_row(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-31", clicks=2), Daily("2026-03-31", clicks=3)])
    assert identities(api.clicks()) == [("2026-03-31", 5, 1, PUBLISHER, 1)]


def test_a_row_of_bots_only_is_left_out(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-30", clicks=0, bots=9), Daily("2026-03-31", clicks=4, bots=9)])
    answer = api.clicks()
    assert identities(answer) == [("2026-03-31", 4, 1, PUBLISHER, 1)]
    assert answer.json()["meta"]["total_count"] == 1


def test_both_ends_of_the_range_are_included(db: ClickHouse, api: Callers) -> None:
    days = ["2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01"]
    insert_daily(db, [Daily(day) for day in days])
    assert [row[0] for row in identities(api.clicks())] == ["2026-03-31", "2026-03-01"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param("0001-01-01", "0001-03-01", id="before-any-click"),
        pytest.param("1969-12-01", "1969-12-31", id="day-before-the-first"),
        pytest.param("2149-06-07", "2149-06-08", id="day-after-the-last"),
        pytest.param("9999-12-01", "9999-12-31", id="end-of-the-calendar"),
    ],
)
def test_days_that_the_rollup_cannot_hold_have_no_rows(db: ClickHouse, api: Callers, start: str, end: str) -> None:
    insert_daily(db, [Daily("1970-01-01"), Daily("2149-06-06")])
    answer = api.clicks(start_date=start, end_date=end)
    assert (answer.status_code, answer.json()["data"]) == (200, [])


def test_a_range_that_starts_before_the_first_day_still_reads_the_rest(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("1970-01-01")])
    assert len(api.clicks(start_date="1969-12-01", end_date="1970-01-02").json()["data"]) == 1


def test_order_is_date_desc_clicks_desc_then_ids(db: ClickHouse, api: Callers) -> None:
    rows = [
        Daily("2026-03-02", clicks=5, advertiser=2),
        Daily("2026-03-03", clicks=1, advertiser=9),
        Daily("2026-03-02", clicks=7, advertiser=3),
        Daily("2026-03-02", clicks=5, advertiser=1, publisher=46),
        Daily("2026-03-02", clicks=5, advertiser=1, publisher=45, network=2),
        Daily("2026-03-02", clicks=5, advertiser=1, publisher=45, network=1),
    ]
    insert_daily(db, rows)
    assert identities(api.clicks("admin")) == [
        ("2026-03-03", 1, 9, 45, 1),
        ("2026-03-02", 7, 3, 45, 1),
        ("2026-03-02", 5, 1, 45, 1),
        ("2026-03-02", 5, 1, 45, 2),
        ("2026-03-02", 5, 1, 46, 1),
        ("2026-03-02", 5, 2, 45, 1),
    ]


@pytest.mark.parametrize(
    ("role", "publisher_id", "seen", "in_effect"),
    [
        pytest.param("admin", None, {45, 46}, None, id="admin-sees-all"),
        pytest.param("settings", None, {45, 46}, None, id="admin-of-the-settings-sees-all"),
        pytest.param("admin", "46", {46}, 46, id="admin-filters"),
        pytest.param("admin", "99", set(), 99, id="admin-unknown-publisher-has-no-rows"),
        pytest.param("admin", "-1", set(), -1, id="admin-negative-publisher-has-no-rows"),
        pytest.param("admin", str(2**64), set(), 2**64, id="admin-huge-publisher-has-no-rows"),
        pytest.param("publisher", None, {45}, 45, id="publisher-sees-own"),
        pytest.param("publisher", "46", {45}, 45, id="publisher-cannot-choose"),
        pytest.param("publisher", "x", {45}, 45, id="publisher-sends-nonsense-ignored"),
    ],
)
def test_scope(
    db: ClickHouse, api: Callers, role: str, publisher_id: str | None, seen: set[int], in_effect: int | None
) -> None:
    insert_daily(db, [Daily("2026-03-05", publisher=45), Daily("2026-03-05", publisher=46)])
    answer = api.clicks(role, publisher_id=publisher_id)
    assert answer.status_code == 200
    assert {row["publisher_id"] for row in answer.json()["data"]} == seen
    assert answer.json()["meta"]["publisher_id"] == in_effect
    assert answer.json()["meta"]["total_count"] == len(seen)


def test_hourly_rows_do_not_reach_the_daily_listing(db: ClickHouse, api: Callers) -> None:
    db.command(
        "INSERT INTO rollup (grain, owner, day, clicks) SELECT 'account_hour', {owner:UInt64}, '2026-03-05', 9",
        {"owner": PUBLISHER},
    )
    assert api.clicks("admin").json()["data"] == []


@pytest.mark.parametrize(
    ("page", "rows", "current", "following", "previous"),
    [
        pytest.param(1, 2, 1, 2, None, id="first"),
        pytest.param(2, 2, 2, 3, 1, id="middle"),
        pytest.param(3, 1, 3, None, 2, id="last"),
        pytest.param(4, 0, 4, None, 3, id="one-past-the-end"),
        pytest.param(99, 0, 99, None, 3, id="far-past-the-end"),
        pytest.param(10**30, 0, 10**30, None, 3, id="past-any-offset"),
        pytest.param(0, 2, 1, 2, None, id="zero-counts-as-one"),
        pytest.param(-5, 2, 1, 2, None, id="negative-counts-as-one"),
    ],
)
def test_pages_of_five_rows_by_two(
    db: ClickHouse,
    api: Callers,
    page: int,
    rows: int,
    current: int,
    following: int | None,
    previous: int | None,
) -> None:
    insert_daily(db, [Daily(f"2026-03-0{day}") for day in range(1, 6)])
    answer = api.clicks(page=page, per_page=2).json()
    meta = answer["meta"]
    assert len(answer["data"]) == rows
    assert (meta["current_page"], meta["next_page"], meta["prev_page"]) == (current, following, previous)
    assert (meta["total_pages"], meta["total_count"]) == (3, 5)


def test_page_two_of_a_listing_of_one_leads_back(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-05")])
    answer = api.clicks(page=2).json()
    assert (answer["data"], answer["meta"]["total_count"], answer["meta"]["prev_page"]) == ([], 1, 1)


@pytest.mark.parametrize("page", [pytest.param(1, id="first"), pytest.param(3, id="past-the-end")])
def test_an_empty_listing_has_no_pages(api: Callers, page: int) -> None:
    answer = api.clicks(page=page).json()
    assert answer["data"] == []
    assert answer["meta"]["total_pages"] == answer["meta"]["total_count"] == 0
    assert answer["meta"]["next_page"] is answer["meta"]["prev_page"] is None


def test_a_thousand_and_one_rows_take_two_pages(db: ClickHouse, api: Callers) -> None:
    db.command(
        "INSERT INTO rollup (grain, owner, day, advertiser_id, clicks) "
        "SELECT 'affiliate_day', 45, '2026-03-05', number + 1, 1 FROM numbers(1001)"
    )
    for size, pages, first in (("1000", 2, 1000), ("1001", 2, 1000), ("0", 1001, 1), (None, 11, 100)):
        answer = api.clicks(per_page=size).json()
        assert (answer["meta"]["total_pages"], len(answer["data"])) == (pages, first)


def test_others_are_ignored(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-05")])
    assert api.clicks(dry_run="true", format="csv").json() == api.clicks().json()
