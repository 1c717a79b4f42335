"""`X-Data-As-Of`: its time, and the responses that have it."""

from __future__ import annotations

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import Callers, account_on, callers, insert_source, insert_watermark

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
