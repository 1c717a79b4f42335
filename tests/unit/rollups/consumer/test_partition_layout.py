"""With more partitions keys move to windows that do not know them: clicks of that time count as unverified."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from rollups.clickhouse import ClickHouse
from rollups.consumer.partition_layout import Layout
from rollups.transform.batch_transformer import PreparedBatch
from tests.support.live_worker import ledger
from tests.support.memory_log import MemoryLog
from tests.support.worker import SOURCE, harness

NOW = int(time.time() * 1000)
MINUTE = 60_000
HORIZON = 2  # minutes
WINDOW = (3 + 5) * MINUTE  # one and a half horizons, and the time that producers take to notice


def layout(db: ClickHouse, source: int = SOURCE) -> Layout:
    return Layout(db, source, "clicks", HORIZON)


def know(db: ClickHouse, source: int, first_seen: datetime) -> None:
    columns = ["source", "cluster_id", "topic", "topic_id", "first_seen"]
    db.insert("sources", [(source, "c", "clicks", str(source), first_seen)], columns)


async def consumed(db: ClickHouse, log: MemoryLog, known: Layout, source: int = SOURCE) -> None:
    async def confirm(batches: list[PreparedBatch]) -> None:
        for batch in batches:
            known.mark(batch)

    log.confirm = confirm  # type: ignore[method-assign]
    known.note(len(log.partitions))  # as a claim does before it raises the fence
    async with harness(db, log, source=source) as worker:
        await worker.claim(set(log.partitions))
        await worker.consume()
        assert worker.pipeline.stats.unverified == ledger(db)["unverified"]


def send(log: MemoryLog, numbers: range, at: int = NOW) -> None:
    for number in numbers:
        event = {"clicked_at": at, "event_id": f"e{number}", "visitor_id": f"v{number}"}
        link = {"account_id": 1, "domain": "d.e", "link_id": "a"}
        log.append(number % len(log.partitions), {**event, **link}, at=at)


@pytest.fixture
def grown(db: ClickHouse) -> MemoryLog:
    """Ten clicks in two partitions, counted; a third partition; the same clicks again."""
    know(db, SOURCE, datetime.now(UTC))
    log = MemoryLog({0: [], 1: []})
    send(log, range(10))
    asyncio.run(consumed(db, log, layout(db)))
    assert ledger(db) == {"counted": 10, "unverified": 0}
    log.partitions[2] = []
    send(log, range(10))
    return log


def test_what_is_counted_again_is_unverified(db: ClickHouse, grown: MemoryLog) -> None:
    asyncio.run(consumed(db, grown, layout(db)))
    counts = ledger(db)
    assert counts["counted"] + counts["duplicate"] == 20
    assert counts["unverified"] == counts["counted"] - 10 > 5


def test_after_the_horizon_clicks_are_verified_again(db: ClickHouse) -> None:
    know(db, SOURCE, datetime.now(UTC))
    until_ms = NOW - 10 * MINUTE
    until = datetime.fromtimestamp(until_ms / 1000, UTC)
    columns = ["source", "partitions", "noted_at", "unverified_until"]
    db.insert("topic_partitions", [(SOURCE, 3, until - timedelta(minutes=WINDOW / MINUTE), until)], columns)
    log = MemoryLog({0: [], 1: [], 2: []})
    send(log, range(10), at=until_ms - MINUTE)
    send(log, range(10, 20), at=until_ms + MINUTE)
    asyncio.run(consumed(db, log, layout(db)))
    assert ledger(db) == {"counted": 20, "unverified": 10}


def test_it_survives_a_restart_and_a_look_at_a_broker_that_is_behind(db: ClickHouse, grown: MemoryLog) -> None:
    layout(db).note(3)
    another = layout(db)
    another.note(2)
    asyncio.run(consumed(db, grown, another))
    assert ledger(db)["unverified"] == ledger(db)["counted"] - 10
    again = layout(db)
    again.note(3)
    assert db.query("SELECT count() FROM topic_partitions") == [(2,)]


@pytest.mark.parametrize("partitions", [1, 2, 3])
def test_a_topic_made_again_with_another_number_of_partitions(db: ClickHouse, partitions: int) -> None:
    know(db, SOURCE, datetime.now(UTC) - timedelta(days=1))
    log = MemoryLog({0: [], 1: []})
    send(log, range(10))
    asyncio.run(consumed(db, log, layout(db)))
    know(db, SOURCE + 1, datetime.now(UTC))
    log = MemoryLog({partition: [] for partition in range(partitions)})
    send(log, range(10))
    asyncio.run(consumed(db, log, layout(db, SOURCE + 1), SOURCE + 1))
    counts = ledger(db)
    assert counts["unverified"] == counts["counted"] - 10
    assert (counts["unverified"] > 0) == (partitions != 2)


def test_a_database_that_was_made_before_numbers_were_noted(db: ClickHouse, grown: MemoryLog) -> None:
    db.command("TRUNCATE TABLE topic_partitions")
    asyncio.run(consumed(db, grown, layout(db)))
    assert ledger(db)["unverified"] > 0
