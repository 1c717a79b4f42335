"""The tables of a cluster are those of one node, in two databases. tests/faults/test_cluster_tables.py creates them."""

from __future__ import annotations

import re

import pytest

from rollups.clickhouse import ClickHouse
from rollups.migrations.cluster import cluster_ddl
from rollups.migrations.migrate import migrations, statements
from tests.support import some

DDL = cluster_ddl("click")
ORIGINAL = [statement for _, _, file in migrations() for statement in statements(file)]


def named(name: str) -> str:
    pattern = rf"^CREATE [\w ]*(TABLE|VIEW)[\w ]* {name} ON CLUSTER 'click'"
    [found] = [statement for statement in DDL if re.search(pattern, statement)]
    return found


def body(statement: str) -> str:
    return statement[statement.index("(") : statement.rindex(")\nENGINE")]


@pytest.mark.parametrize("number", range(len(DDL)))
def test_clickhouse_parses_each_statement(db: ClickHouse, number: int) -> None:
    assert db.query(f"EXPLAIN AST {DDL[number]}")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("clickmill.rollup", "rollup/{shard}', '{replica}'"),
        ("clickmill.seen", "seen/{shard}', '{replica}'"),
        ("clickmill_api.accounts", "accounts', '{shard}-{replica}'"),
    ],
)
def test_tables_have_the_columns_of_one_node_and_replicated_engines(name: str, place: str) -> None:
    database, _, table = name.partition(".")
    [original] = [s for s in ORIGINAL if f"IF NOT EXISTS {table}\n" in s]
    assert body(named(name)) == body(original)
    assert f"MergeTree('/clickhouse/tables/{database}/{place}" in named(name)


def test_a_table_is_altered_where_it_is_and_where_it_is_reached_from() -> None:
    altered = [statement for statement in DDL if statement.startswith("ALTER TABLE") and ".groups " in statement]
    added = "groups ON CLUSTER 'click' ADD COLUMN IF NOT EXISTS memo String AFTER name"
    assert altered == [f"ALTER TABLE {database}.{added}" for database in ("clickmill", "clickmill_api")]


def test_the_compare_and_set_is_the_same_and_of_the_workers_only() -> None:
    ours = [s.replace(" ON CLUSTER 'click'", "").replace("clickmill.", "") for s in DDL if "rollup_mv" in s]
    assert ours == some(s for s in ORIGINAL if "rollup_mv" in s)
    assert all("clickmill_api" not in s for s in DDL if "rollup_mv" in s or ".landing" in s)
    assert all("FROM clickmill.landing" in s and "FROM clickmill.rollup" in s for s in DDL if "rollup_mv" in s)


def test_workers_have_the_view_that_they_read() -> None:
    for database in ("clickmill", "clickmill_api"):
        placed = [s for s in DDL if f"VIEW {database}.watermarks ON CLUSTER" in s]
        assert f"FROM {database}.rollup AS r" in placed[-1]


@pytest.mark.parametrize("table", ["sources", "topic_partitions", "partition_states", "log_marks"])
def test_what_workers_note_is_on_every_node_and_written_directly(table: str) -> None:
    assert f"('/clickhouse/tables/clickmill/{table}', '{{shard}}-{{replica}}'" in named(f"clickmill.{table}")
    assert f"Distributed('click_all', 'clickmill', '{table}')" in named(f"clickmill_api.{table}")


def test_workers_read_their_own_shard_and_the_api_all_of_them() -> None:
    assert "Distributed('click', 'clickmill', 'rollup')" in named("clickmill_api.rollup")
    assert "Distributed('click_all', 'clickmill_api', 'publishers')" in named("clickmill.publishers")
    assert "FROM clickmill_api.rollup" in named("clickmill_api.clicks_hourly")
    assert "Distributed" not in named("clickmill.rollup")
    assert "replicated_deduplication_window = 0" in named("clickmill.rollup")
