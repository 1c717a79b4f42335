"""Pagination against a model in plain Python: random clicks, ranges and pages, while clicks arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollups.clickhouse import ClickHouse
from tests.support.seed import PUBLISHER, Callers, Daily, callers, insert_daily

Identity = tuple[str, int, int, int]  # day, advertiser, publisher, network
Row = tuple[Identity, int]

FIRST = date(2026, 3, 1)
days = st.integers(0, 6).map(lambda number: str(FIRST + timedelta(number)))
clicks = st.builds(
    Daily,
    day=days,
    clicks=st.integers(0, 3),
    bots=st.integers(0, 1),
    publisher=st.sampled_from([PUBLISHER, 46]),
    advertiser=st.integers(1, 3),
    network=st.integers(1, 2),
)
ranges = st.tuples(days, days).map(lambda pair: (min(pair), max(pair)))
publishers = st.sampled_from([None, PUBLISHER, 46, 99])
some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Model:
    """The clicks so far, and the listing that the contract requires."""

    def __init__(self) -> None:
        self.counts: Counter[Identity] = Counter()

    def add(self, rows: list[Daily]) -> None:
        for row in rows:
            self.counts[row.day, row.advertiser, row.publisher, row.network] += row.clicks

    def listing(self, start: str, end: str, publisher: int | None) -> list[Row]:
        """By identity, newest day first."""
        rows = [
            (identity, count)
            for identity, count in self.counts.items()
            if count and start <= identity[0] <= end and publisher in (None, identity[2])
        ]
        return sorted(rows, key=lambda row: by_identity(row[0]))


def by_identity(identity: Identity) -> Any:
    return -date.fromisoformat(identity[0]).toordinal(), *identity[1:]


def by_count(row: Row) -> Any:
    (day, *ids), count = row
    return -date.fromisoformat(day).toordinal(), -count, *ids


def rows_of(answer: Any) -> list[Row]:
    assert answer.status_code == 200, answer.text
    return [
        ((row["click_date"], row["advertiser_id"], row["publisher_id"], row["network_id"]), row["click_count"])
        for row in answer.json()["data"]
    ]


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    return callers(db)


@pytest.fixture
def arrive(db: ClickHouse) -> Callable[[Model, list[Daily]], None]:
    def insert(model: Model, rows: list[Daily]) -> None:
        insert_daily(db, rows)
        model.add(rows)

    return insert


Arrive = Callable[[Model, list[Daily]], None]


@some
@given(
    before=st.lists(clicks, max_size=20),
    asked=ranges,
    publisher=publishers,
    per_page=st.integers(1, 8),
    role=st.sampled_from(["admin", "publisher"]),
)
def test_pages_of_a_still_store_hold_every_row_once(
    db: ClickHouse,
    api: Callers,
    arrive: Arrive,
    before: list[Daily],
    asked: tuple[str, str],
    publisher: int | None,
    per_page: int,
    role: str,
) -> None:
    db.command("TRUNCATE TABLE rollup")
    model = Model()
    arrive(model, before)
    start, end = asked
    in_effect = PUBLISHER if role == "publisher" else publisher
    expected = sorted(model.listing(start, end, in_effect), key=by_count)
    total_pages = -(-len(expected) // per_page)
    for page in range(1, total_pages + 3):
        answer = api.clicks(role, start_date=start, end_date=end, publisher_id=publisher, page=page, per_page=per_page)
        assert rows_of(answer) == expected[(page - 1) * per_page : page * per_page]
        assert answer.json()["meta"] == {
            "current_page": page,
            "next_page": page + 1 if page < total_pages else None,
            "prev_page": min(page - 1, total_pages) or None,
            "total_pages": total_pages,
            "total_count": len(expected),
            "start_date": start,
            "end_date": end,
            "days": (date.fromisoformat(end) - date.fromisoformat(start)).days + 1,
            "publisher_id": in_effect,
        }


@some
@given(
    before=st.lists(clicks, max_size=15),
    meanwhile=st.lists(st.lists(clicks, max_size=3), max_size=8),
    asked=ranges,
    publisher=publishers,
    per_page=st.integers(1, 4),
)
def test_cursor_pages_while_clicks_arrive_repeat_and_skip_nothing(
    db: ClickHouse,
    api: Callers,
    arrive: Arrive,
    before: list[Daily],
    meanwhile: list[list[Daily]],
    asked: tuple[str, str],
    publisher: int | None,
    per_page: int,
) -> None:
    db.command("TRUNCATE TABLE rollup")
    model = Model()
    arrive(model, before)
    start, end = asked
    there = {identity for identity, _ in model.listing(start, end, publisher)}
    seen: list[Identity] = []
    cursor: str | None = "start"
    while cursor:
        if meanwhile:
            arrive(model, meanwhile.pop())
        listing = model.listing(start, end, publisher)
        left = [row for row in listing if not seen or by_identity(row[0]) > by_identity(seen[-1])]
        answer = api.clicks(
            "admin", start_date=start, end_date=end, publisher_id=publisher, cursor=cursor, per_page=per_page
        )
        page, meta = rows_of(answer), answer.json()["meta"]
        assert page == left[:per_page], "the counts are those of now"
        assert (meta["total_count"], meta["next_page"]) == (len(listing), None)
        seen += [identity for identity, _ in page]
        cursor = meta["next_cursor"]
        assert (cursor is None) == (len(left) <= per_page)
    assert len(seen) == len(set(seen))
    assert there <= set(seen)
