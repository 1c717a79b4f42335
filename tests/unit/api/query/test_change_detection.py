"""`X-Data-As-Of`: its time, and the responses that have it. Whose clicks have changed between two polls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import pytest

from api.query.change_detection import ChangeDetector, ClickOwner, Snapshot
from rollups.clickhouse import ClickHouse
from tests.support.seed import (
    ACCOUNT,
    PUBLISHER,
    Away,
    Callers,
    Daily,
    Hourly,
    account_on,
    callers,
    insert_daily,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)

EARLY, LATE, LATER = "2026-03-31 11:59:58.001", "2026-03-31 12:00:00.250", "2026-03-31 13:00:00.000"


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def test_it_is_the_least_over_the_partitions(db: ClickHouse, api: Callers) -> None:
    insert_source(db, 1, EARLY)
    insert_watermark(db, 1, 0, LATE)
    insert_watermark(db, 1, 1, EARLY)
    assert api.clicks().headers["X-Data-As-Of"] == "2026-03-31T11:59:58.001Z"
    assert api.hourly().headers["X-Data-As-Of"] == "2026-03-31T11:59:58.001Z"


def test_a_partition_is_as_new_as_its_newest_marker(db: ClickHouse, api: Callers) -> None:
    insert_source(db, 1, EARLY)
    for at in (LATE, EARLY):
        insert_watermark(db, 1, 0, at)
    assert api.clicks().headers["X-Data-As-Of"] == "2026-03-31T12:00:00.250Z"


def test_only_the_newest_source_of_the_topic_counts(db: ClickHouse, api: Callers) -> None:
    insert_source(db, 1, EARLY)
    insert_source(db, 2, LATE)
    insert_source(db, 3, LATER, topic="another")
    insert_watermark(db, 1, 0, EARLY)
    insert_watermark(db, 2, 0, LATE)
    insert_watermark(db, 3, 0, LATER)
    assert api.clicks().headers["X-Data-As-Of"] == "2026-03-31T12:00:00.250Z"


def test_there_is_no_header_before_there_is_a_source(db: ClickHouse, api: Callers) -> None:
    insert_watermark(db, 1, 0, LATE)
    assert "X-Data-As-Of" not in api.clicks().headers


def test_there_is_no_header_while_a_claimed_partition_has_no_time(db: ClickHouse, api: Callers) -> None:
    insert_source(db, 1, EARLY)
    insert_watermark(db, 1, 0, LATE)
    db.command("INSERT INTO rollup (grain, source, partition, next) VALUES ('fence', 1, 1, 99)")
    assert "X-Data-As-Of" not in api.clicks().headers


def test_refusals_carry_no_header(db: ClickHouse, api: Callers) -> None:
    insert_source(db, 1, EARLY)
    insert_watermark(db, 1, 0, LATE)
    assert "X-Data-As-Of" not in api.clicks(start_date="x").headers
    assert "X-Data-As-Of" not in api.hourly(ymd="x").headers
    assert "X-Data-As-Of" not in api.hourly(grpIdx=77).headers


@pytest.fixture
def unmerged(db: ClickHouse) -> Iterator[ClickHouse]:
    """A merge makes old days look changed."""
    db.command("SYSTEM STOP MERGES rollup")
    yield db
    db.command("SYSTEM START MERGES rollup")


LAST = date(2026, 3, 31)
MINE, THEIRS, ACCOUNTS = (
    ClickOwner("affiliate_day", PUBLISHER),
    ClickOwner("affiliate_day", 46),
    ClickOwner("account_hour", ACCOUNT),
)


@pytest.mark.parametrize(
    ("insert", "changed"),
    [
        pytest.param(lambda db: None, {}, id="nothing"),
        pytest.param(lambda db: insert_watermark(db, 1, 0, LATE), {}, id="a-marker"),
        pytest.param(
            lambda db: insert_daily(db, [Daily("2026-03-31"), Daily("2026-03-30")]),
            {None: date(2026, 3, 30), MINE: date(2026, 3, 30)},
            id="publisher",
        ),
        pytest.param(
            lambda db: insert_hourly(db, [Hourly("2026-03-29", 1, link="")]),
            {None: date(2026, 3, 29), ACCOUNTS: date(2026, 3, 29)},
            id="account",
        ),
        pytest.param(lambda db: insert_daily(db, [Daily("2026-03-31", publisher=9)]), {None: LAST}, id="nobody-asked"),
        pytest.param(
            lambda db: upsert(db, networks=[{"network_id": 1, "name": "n"}]),
            dict.fromkeys([None, MINE, THEIRS, ACCOUNTS]),
            id="catalogue",
        ),
    ],
)
def test_owners_whose_clicks_have_changed(
    unmerged: ClickHouse, insert: Callable[[ClickHouse], object], changed: dict[ClickOwner | None, date | None]
) -> None:
    insert_daily(unmerged, [Daily("2026-03-01"), Daily("2026-03-01", publisher=46)])
    insert_source(unmerged, 1, EARLY)
    detector = ChangeDetector(unmerged, "clicks")
    before = detector.poll(None)
    insert(unmerged)
    after = detector.poll(before)
    assert detector.changed_owners(before, after, [None, MINE, THEIRS, ACCOUNTS]) == changed


@pytest.mark.parametrize(("counted", "changed"), [(8, {}), (9, {MINE: None})])
def test_without_numbers_of_parts_the_position_tells_of_a_change(
    counted: int, changed: dict[ClickOwner | None, date | None]
) -> None:
    before, after = Snapshot(all_changed=True, position=8), Snapshot(all_changed=True, position=counted)
    assert ChangeDetector(Away(), "clicks").changed_owners(before, after, [MINE]) == changed


def test_the_first_clicks_of_a_table_are_a_change(db: ClickHouse) -> None:
    detector = ChangeDetector(db, "clicks")
    before = detector.poll(None)
    insert_daily(db, [Daily("2026-03-31")])
    assert detector.changed_owners(before, detector.poll(before), [MINE]) == {MINE: None}
