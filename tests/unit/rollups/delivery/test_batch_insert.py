"""The insert protocol: one part, everything or nothing, and only for the newest claim at the watermark."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ingest.event import Click, encode
from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import PINNED, Outcome, insert_batch, insert_comment
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Markers
from rollups.model import FetchedBatch, FetchPosition, Lease, Records
from rollups.transform.decode import decode
from rollups.transform.identity import IdentityHasher
from rollups.transform.landing import to_landing_table
from rollups.transform.timezones import TimeZones
from tests.support.clickhouse_server import BOTH_ENGINES
from tests.support.memory_log import LOG_TIME_MS, Record

SOURCE = 9


@pytest.fixture
def zones(db: ClickHouse) -> TimeZones:
    return TimeZones.from_database(db)


def table(zones: TimeZones, epoch: int, start: int, count: int, *, partition: int = 0, links: int = 1) -> pa.Table:
    clicks = [
        Click(LOG_TIME_MS + n, account_id=1, domain="https://d.e", link_id=f"l{n % links}")
        for n in range(start, start + count)
    ]
    records = [Record(n, encode(click), LOG_TIME_MS) for n, click in enumerate(clicks, start)]
    batch = FetchedBatch(partition, FetchPosition(start), start, start + count, Records().add(records))
    rows = decode(batch, count, {})[0].rows
    identities = IdentityHasher("secret", b"key").hash_clicks(rows.columns)
    lease = Lease(partition, epoch=epoch)
    return to_landing_table(rows, identities, zones, lease=lease, source=SOURCE, expect=start)


def claimed(db: ClickHouse, *partitions: int) -> dict[int, int]:
    return Fences(db, SOURCE).raise_fences(partitions)


def total(db: ClickHouse) -> int:
    return int(db.query("SELECT sum(clicks) FROM clicks_hourly")[0][0])


def test_the_pinned_settings() -> None:
    assert PINNED == {
        "async_insert": 0,
        "max_insert_threads": 1,
        "max_threads": 1,
        "min_insert_block_size_rows": 1_000_000_000,
        "min_insert_block_size_bytes": 0,
        "materialized_views_ignore_errors": 0,
    }


def test_an_insert_at_the_watermark_is_applied_and_moves_it(db: ClickHouse, zones: TimeZones) -> None:
    epoch = claimed(db, 0)[0]
    assert insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 10))[0] is Outcome.APPLIED
    assert insert_batch(db, SOURCE, [0], table(zones, epoch, 10, 5))[0] is Outcome.APPLIED
    assert (total(db), Markers(db, SOURCE).read()[0].next) == (15, 15)


@pytest.mark.parametrize("start", [0, 9, 11])
def test_an_insert_elsewhere_is_stale_and_leaves_nothing(db: ClickHouse, zones: TimeZones, start: int) -> None:
    epoch = claimed(db, 0)[0]
    insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 10))
    outcome, message = insert_batch(db, SOURCE, [0], table(zones, epoch, start, 10))
    assert (outcome, total(db)) == (Outcome.STALE, 10)
    assert "EXPECT" in message


def test_an_insert_of_an_older_claim_is_fenced(db: ClickHouse, zones: TimeZones) -> None:
    epoch = claimed(db, 0)[0]
    claimed(db, 0)
    outcome, _ = insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 10))
    assert (outcome, total(db)) == (Outcome.FENCED, 0)


def test_one_bad_partition_refuses_the_whole_insert(db: ClickHouse, zones: TimeZones) -> None:
    epochs = claimed(db, 0, 1)
    both = pa.concat_tables([table(zones, epochs[0], 0, 10), table(zones, epochs[1] - (1 << 20), 0, 10, partition=1)])
    assert insert_batch(db, SOURCE, [0, 1], both)[0] is Outcome.FENCED
    assert (total(db), Markers(db, SOURCE).read()[0].next) == (0, 0)


def test_without_a_claim_nothing_is_applied(db: ClickHouse, zones: TimeZones) -> None:
    assert insert_batch(db, SOURCE, [0], table(zones, 1, 0, 10))[0] is Outcome.FENCED


def test_another_source_has_markers_of_its_own(db: ClickHouse, zones: TimeZones) -> None:
    epoch = claimed(db, 0)[0]
    insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 10))
    other = Markers(db, SOURCE + 1)
    assert other.read() == {}
    assert Markers(db, SOURCE).read()[0].next == 10


@BOTH_ENGINES
@pytest.mark.parametrize(("count", "links"), [(1, 1), (5_000, 1), (200_000, 100_000)])
def test_an_insert_is_one_part_whatever_its_size(db: ClickHouse, zones: TimeZones, count: int, links: int) -> None:
    epoch = claimed(db, 0)[0]
    db.command("SYSTEM STOP MERGES rollup")
    try:
        before = parts(db)
        assert insert_batch(db, SOURCE, [0], table(zones, epoch, 0, count, links=links))[0] is Outcome.APPLIED
        assert parts(db) == before + 1
    finally:
        db.command("SYSTEM START MERGES rollup")
    assert total(db) == count


def parts(db: ClickHouse) -> int:
    return int(db.query("SELECT count() FROM system.parts WHERE table = 'rollup' AND active")[0][0])


def test_a_claim_finds_the_inserts_that_carry_its_partition() -> None:
    comment = insert_comment(SOURCE, [11, 2])
    assert comment == "clickmill insert 9 ,2,11,"
    assert ",1," not in comment
