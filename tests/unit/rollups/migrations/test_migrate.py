"""A database that an earlier version has filled goes on with this one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rollups.audit import audit
from rollups.clickhouse import Store
from rollups.delivery.markers import Markers
from rollups.migrations.migrate import migrate, migrations, statements
from tests.support.chdb_server import start_chdb_server
from tests.support.log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, harness


def filled_by_an_earlier_version(store: Store) -> None:
    """One record is counted, with a time in 2100, under an epoch of 20 random bits."""
    store.command(
        "CREATE TABLE schema_migrations (number UInt32, name String, applied_at DateTime DEFAULT now()) "
        "ENGINE = MergeTree ORDER BY number"
    )
    for number, name, sql in migrations():
        if number < 6:
            for statement in statements(sql):
                store.command(statement)
            store.insert("schema_migrations", [(number, name)], ["number", "name"])
    epoch = 7 << 20
    store.insert("rollup", [("fence", SOURCE, 0, epoch)], ["grain", "source", "partition", "next"])
    store.command(
        "INSERT INTO landing (source, partition, offset, epoch, expect, log_time, records, reason, verified) "
        f"VALUES ({SOURCE}, 0, 0, {epoch}, 0, '2100-01-01 00:00:00', 1, 'invalid', 1)"
    )


async def consumed(store: Store, log: MemoryLog) -> None:
    async with harness(store, log) as worker:
        await worker.claim({0})
        await worker.consume()


def test_the_log_is_counted_on_and_what_was_wrong_heals(tmp_path: Path) -> None:
    log = MemoryLog()
    with start_chdb_server(tmp_path) as server:
        store = Store(server.url)
        filled_by_an_earlier_version(store)
        assert "0006_log.sql" in migrate(store)
        store.command("TRUNCATE TABLE schema_migrations")
        migrate(store)  # cut off before it was noted, it is repeated
        for number in range(5):
            log.append(0, b"{}", at=LOG_TIME_MS + number)
        asyncio.run(consumed(store, log))
        marker = Markers(store, SOURCE).read()[0]
        assert (marker.next, marker.as_of_ms, marker.tail.offset) == (5, LOG_TIME_MS + 4, 4)
        assert audit(store).problems == []
        store.close()
