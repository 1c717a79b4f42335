"""A database of an earlier version works with this one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rollups.audit import audit
from rollups.clickhouse import ClickHouse
from rollups.delivery.markers import Markers
from rollups.migrations.migrate import migrate, migrations, statements
from tests.support.clickhouse_server import start_clickhouse_server
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, harness


def filled_by_an_earlier_version(db: ClickHouse) -> None:
    """One record is counted, with a time in 2100, under an epoch of 20 random bits."""
    db.command(
        "CREATE TABLE schema_migrations (number UInt32, name String, applied_at DateTime DEFAULT now()) "
        "ENGINE = MergeTree ORDER BY number"
    )
    for number, name, sql in migrations():
        if number < 6:
            for statement in statements(sql):
                db.command(statement)
            db.insert("schema_migrations", [(number, name)], ["number", "name"])
    epoch = 7 << 20
    db.insert("rollup", [("fence", SOURCE, 0, epoch)], ["grain", "source", "partition", "next"])
    db.command(
        "INSERT INTO landing (source, partition, offset, epoch, expect, log_time, records, reason, verified) "
        f"VALUES ({SOURCE}, 0, 0, {epoch}, 0, '2100-01-01 00:00:00', 1, 'invalid', 1)"
    )


async def consumed(db: ClickHouse, log: MemoryLog) -> None:
    async with harness(db, log) as worker:
        await worker.claim({0})
        await worker.consume()


def test_the_log_is_counted_on_and_what_was_wrong_heals(tmp_path: Path) -> None:
    log = MemoryLog()
    with start_clickhouse_server(tmp_path) as server:
        db = ClickHouse(server.url)
        filled_by_an_earlier_version(db)
        assert "0006_log.sql" in migrate(db)
        db.command("TRUNCATE TABLE schema_migrations")
        migrate(db)  # cut off before it was noted, it is repeated
        for number in range(5):
            log.append(0, b"{}", at=LOG_TIME_MS + number)
        asyncio.run(consumed(db, log))
        marker = Markers(db, SOURCE).read()[0]
        assert (marker.next, marker.as_of_ms, marker.tail.offset) == (5, LOG_TIME_MS + 4, 4)
        assert audit(db).problems == []
        db.close()
