"""`clickmill migrate --cluster` on two shards of two replicas."""

from __future__ import annotations

import pytest

from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse
from rollups.migrations.cluster import cluster_ddl, migrate_cluster
from tests.support.clickhouse_cluster import NAME, Cluster

TABLES = """
SELECT database, name, engine, create_table_query FROM system.tables WHERE database LIKE 'clickmill%' ORDER BY ALL
"""
TTL = """
SELECT engine_full LIKE '%TTL day + toIntervalDay(30)%' FROM system.tables WHERE name = 'rollup' ORDER BY database
"""


def test_all_nodes_have_the_same_tables_and_workers_and_readers_all_that_they_use(migrated: Cluster) -> None:
    tables = [ClickHouse(node.url).query(TABLES) for node in migrated.nodes]
    assert tables[0] == tables[1] == tables[2] == tables[3]
    engines = {(database, name): engine for database, name, engine, _ in tables[0]}
    workers, readers = ({name for database, name in engines if database == d} for d in ("clickmill", "clickmill_api"))
    assert workers - readers == {"landing", "rollup_mv"}
    assert readers - workers == set()
    assert {"watermarks", "ledger"} < workers
    assert engines["clickmill", "rollup"] == "ReplicatedAggregatingMergeTree"
    assert engines["clickmill_api", "rollup"] == "Distributed"


def test_it_runs_again_without_a_moment_of_older_views_and_mends_a_node(migrated: Cluster) -> None:
    last = ClickHouse(migrated.nodes[-1].url)
    key = last.query("SELECT value FROM installation WHERE name = 'event_id_key'")
    last.command("DROP TABLE clickmill.watermarks")
    assert migrate_cluster(last, NAME, retention_days=30) == 4
    for node in migrated.nodes:
        db = ClickHouse(node.url)
        assert db.query(TTL) == [(1,), (0,)]
        assert db.query("SELECT tail.crc FROM watermarks") == []
        assert db.query("SELECT value FROM installation WHERE name = 'event_id_key'") == key
    migrate_cluster(last, NAME)
    assert last.query(TTL) == [(0,), (0,)]
    ddl = cluster_ddl(NAME)
    for database in ("clickmill", "clickmill_api"):
        assert sum(f"VIEW {database}.watermarks" in statement for statement in ddl) == 1


def test_a_cluster_that_is_configured_otherwise_is_refused(migrated: Cluster) -> None:
    db = ClickHouse(migrated.nodes[0].url)
    with pytest.raises(OperatorError, match=r"needs the clusters default, of shards, and default_all"):
        migrate_cluster(db, "default")
