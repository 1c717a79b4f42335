"""Cursor pagination: signed positions, bound to scope and range, while clicks arrive (contract §5)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.key_records import Principal
from api.clicks.cursor import START_POSITION, Cursors, Position
from api.clicks.parameters import clicks_meta, parse_clicks_query
from api.dates import FIRST_DAY, LAST_DAY
from rollups.clickhouse import ClickHouse
from tests.support.seed import ADMIN_KEY, PUBLISHER, Callers, Daily, callers, insert_daily

Identity = tuple[str, int, int, int]
LISTING = "2026-03-01 2026-03-31 45"
POSITION = Position(day=date(2026, 3, 31), advertiser_id=123, publisher_id=45, network_id=7, page=2)
DAYS = [Daily(f"2026-03-0{day}", clicks=day) for day in range(1, 6)]


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    return callers(db)


def identities(answer: Any) -> list[Identity]:
    assert answer.status_code == 200, answer.text
    rows = answer.json()["data"]
    return [(row["click_date"], row["advertiser_id"], row["publisher_id"], row["network_id"]) for row in rows]


def all_pages(api: Callers, role: str = "publisher", name: str = "cursor", **parameters: Any) -> list[Identity]:
    """The identities of all pages."""
    seen: list[Identity] = []
    cursor: str | None = "start"
    while cursor:
        answer = api.clicks(role, **{name: cursor}, **parameters)
        seen += identities(answer)
        cursor = answer.json()["meta"]["next_cursor"]
    return seen


def refused(answer: Any, field: str = "cursor") -> None:
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == ("BAD_REQUEST", {"field": field})
    assert f"{field}=start" in error["message"], "it says what to do next"


ids = st.integers(0, 2**64 - 1)


@given(
    position=st.builds(
        Position,
        day=st.dates(FIRST_DAY, LAST_DAY),
        advertiser_id=ids,
        publisher_id=ids,
        network_id=ids,
        page=st.integers(1, 2**32 - 1),
    ),
    listing=st.text(),
    other=st.text(),
)
def test_a_cursor_is_read_back_in_its_listing_and_in_no_other(position: Position, listing: str, other: str) -> None:
    cursors = Cursors("root")
    cursor = cursors.write(position, listing)
    assert cursors.read(cursor, listing) == position
    assert len(cursor) == 64
    assert listing == other or cursors.read(cursor, other) is None


@given(at=st.integers(0, 63), character=st.sampled_from("ABCXYZabcxyz0189-_"))
def test_a_cursor_changed_anywhere_is_none(at: int, character: str) -> None:
    cursors = Cursors("root")
    cursor = cursors.write(POSITION, LISTING)
    changed = cursor[:at] + character + cursor[at + 1 :]
    assert cursors.read(changed, LISTING) == (POSITION if changed == cursor else None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("Start", id="start-in-another-case"),
        pytest.param("A" * 64, id="unsigned"),
        pytest.param("A" * 63, id="too-short"),
        pytest.param("A" * 65, id="too-long"),
        pytest.param("é" * 64, id="other-letters"),
        pytest.param("A" * 64 + "\n", id="newline-after"),
        pytest.param("2", id="a-page-number"),
    ],
)
def test_what_is_no_cursor(api: Callers, text: str) -> None:
    assert Cursors("root").read(text, LISTING) is None
    refused(api.clicks(cursor=text))
    refused(api.clicks(after=text), "after")


def test_processes_with_one_admin_key_read_each_others_cursors_and_no_others() -> None:
    cursor = Cursors("root").write(POSITION, LISTING)
    assert Cursors("root").read(cursor, LISTING) == POSITION
    assert Cursors("another").read(cursor, LISTING) is None
    assert Cursors("").read(Cursors("").write(POSITION, LISTING), LISTING) == POSITION
    assert Cursors("").read(cursor, LISTING) is None


def test_a_rotated_admin_key_ends_pagination_with_a_clear_400(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, DAYS)
    cursor = api.clicks(cursor="start", per_page=2).json()["meta"]["next_cursor"]
    assert callers(db).clicks(cursor=cursor).status_code == 200, "it survives a restart"
    refused(callers(db, admin_key="rotated-key-of-the-tests").clicks(cursor=cursor))


def test_the_meta_of_cursor_pages(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, DAYS)
    first = api.clicks(cursor="start", per_page=3).json()
    cursor = first["meta"]["next_cursor"]
    last = api.clicks(after=cursor, per_page=3).json()
    common = {
        "next_page": None,
        "prev_page": None,
        "total_pages": 2,
        "total_count": 5,
        "start_date": "2026-03-01",
        "end_date": "2026-03-31",
        "days": 31,
        "publisher_id": 45,
    }
    assert first["meta"] == {**common, "current_page": 1, "next_cursor": cursor}
    assert last["meta"] == {**common, "current_page": 2, "next_cursor": None}
    assert (len(first["data"]), len(last["data"])) == (3, 2)


def test_without_a_cursor_meta_has_no_next_cursor(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, DAYS)
    assert "next_cursor" not in api.clicks(per_page=2).json()["meta"]
    query = parse_clicks_query({"start_date": "2026-03-01", "end_date": "2026-03-31"}, Principal("k", "admin"), CURSORS)
    assert len(clicks_meta(query, 5)) == 9


CURSORS = Cursors("root")


@pytest.mark.parametrize(
    ("rows", "per_page", "pages"),
    [
        pytest.param(0, 2, [0], id="nothing"),
        pytest.param(1, 2, [1], id="less-than-a-page"),
        pytest.param(2, 2, [2], id="exactly-a-page"),
        pytest.param(3, 2, [2, 1], id="a-page-and-one"),
        pytest.param(4, 2, [2, 2], id="exactly-two-pages"),
    ],
)
def test_sizes_of_cursor_pages(db: ClickHouse, api: Callers, rows: int, per_page: int, pages: list[int]) -> None:
    insert_daily(db, DAYS[:rows])
    sizes = []
    cursor: str | None = "start"
    while cursor:
        answer = api.clicks(cursor=cursor, per_page=per_page).json()
        sizes.append(len(answer["data"]))
        cursor = answer["meta"]["next_cursor"]
    assert sizes == pages


def test_cursor_pages_are_by_identity(db: ClickHouse, api: Callers) -> None:
    rows = [
        Daily("2026-03-02", clicks=1, advertiser=2, publisher=9),
        Daily("2026-03-02", clicks=9, advertiser=10, publisher=1),
        Daily("2026-03-02", clicks=5, advertiser=2, publisher=10, network=3),
        Daily("2026-03-02", clicks=7, advertiser=2, publisher=10, network=20),
        Daily("2026-03-03", clicks=1, advertiser=99),
    ]
    insert_daily(db, rows)
    expected = [
        ("2026-03-03", 99, 45, 1),
        ("2026-03-02", 2, 9, 1),
        ("2026-03-02", 2, 10, 3),
        ("2026-03-02", 2, 10, 20),
        ("2026-03-02", 10, 1, 1),
    ]
    for per_page in (1, 2, 100):
        assert all_pages(api, "admin", per_page=per_page) == expected
    assert all_pages(api, "admin", name="after", per_page=2) == expected


def test_the_page_size_may_change_on_the_way_and_the_page_is_ignored(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, DAYS)
    cursor = api.clicks(cursor="start", per_page=1, page=4).json()["meta"]["next_cursor"]
    assert len(identities(api.clicks(cursor=cursor, limit=3, page=9))) == 3


def test_after_decides_as_clients_add_it_to_the_query_that_they_began_with(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, DAYS)
    cursor = api.clicks(cursor="start", per_page=2).json()["meta"]["next_cursor"]
    assert identities(api.clicks(cursor="start", after=cursor, per_page=2)) == [
        ("2026-03-03", 1, 45, 1),
        ("2026-03-02", 1, 45, 1),
    ]


@pytest.mark.parametrize(
    ("role", "other"),
    [
        pytest.param("publisher", {"end_date": "2026-03-30"}, id="other-end"),
        pytest.param("publisher", {"start_date": "2026-03-02"}, id="other-start"),
        pytest.param("admin", {}, id="all-publishers"),
        pytest.param("admin", {"publisher_id": 46}, id="another-publisher"),
    ],
)
def test_a_cursor_of_another_scope_or_range(db: ClickHouse, api: Callers, role: str, other: dict[str, Any]) -> None:
    insert_daily(db, DAYS)
    cursor = api.clicks(cursor="start", per_page=2).json()["meta"]["next_cursor"]
    refused(api.clicks(role, cursor=cursor, **other))


def test_a_key_of_another_publisher_cannot_use_it(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, DAYS)
    cursor = api.clicks(cursor="start", per_page=2).json()["meta"]["next_cursor"]
    api.keys["other"] = api.admin("POST", "/keys", {"role": "publisher", "publisher_id": 46}).json()["key"]
    refused(api.clicks("other", cursor=cursor))
    assert api.clicks("admin", cursor=cursor, publisher_id=45).status_code == 200, "the scope decides, not the key"


def test_days_that_the_rollup_cannot_hold(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("1970-01-01"), Daily("2149-06-06")])
    assert len(all_pages(api, start_date="1969-12-01", end_date="1970-01-31")) == 1
    assert len(all_pages(api, start_date="2149-06-01", end_date="2149-07-31")) == 1
    assert all_pages(api, start_date="9999-12-01", end_date="9999-12-31") == []


def test_the_start_position_is_before_every_row(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily(str(LAST_DAY), publisher=1, advertiser=1, network=1)])
    assert len(all_pages(api, "admin", start_date=str(LAST_DAY), end_date=str(LAST_DAY))) == 1
    assert START_POSITION.page == 1


def test_a_cursor_does_not_betray_the_admin_key(api: Callers) -> None:
    cursor = Cursors(ADMIN_KEY).write(POSITION, LISTING)
    assert ADMIN_KEY not in cursor


@pytest.mark.parametrize("begun_with", [{}, {"cursor": "start"}, {"after": "start"}], ids=["page", "cursor", "after"])
def test_the_original_client_reads_to_the_end(db: ClickHouse, api: Callers, begun_with: dict[str, str]) -> None:
    """It sends `next_cursor` as `after`, else `next_page` as `page`, and keeps its other parameters."""
    insert_daily(db, DAYS)
    query: dict[str, Any] = {"per_page": 2, **begun_with}
    seen: list[Identity] = []
    for _ in range(9):
        answer = api.clicks(**query)
        seen += identities(answer)
        meta = answer.json()["meta"]
        if meta.get("next_cursor"):
            query["after"] = meta["next_cursor"]
        elif meta["next_page"]:
            query["page"] = meta["next_page"]
        else:
            break
    assert seen == [(f"2026-03-0{day}", 1, PUBLISHER, 1) for day in range(5, 0, -1)]
