"""The tables of a cluster, from the same migrations as those of one node (docs/delivery.md, "Cluster")."""

from __future__ import annotations

import re

from rollups.installation import EVENT_ID_KEY, new_key
from rollups.migrations.migrate import migrations, statements

WORKERS, API = "clickmill", "clickmill_api"

_SHARDED = ("rollup", "seen")
_OF_WORKERS = (*_SHARDED, "sources", "installation", "topic_partitions", "partition_states", "log_marks")
_ON_WORKERS_ONLY = ("landing", "rollup_mv")
_OBJECT = re.compile(r"^CREATE (?:OR REPLACE )?(TABLE|VIEW|MATERIALIZED VIEW)(?: IF NOT EXISTS)? (\w+)")
_ALTER = re.compile(r"^ALTER TABLE (\w+)")
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\((\w+)\))?")


def cluster_ddl(cluster: str) -> list[str]:
    """Statements for a cluster of shards, `cluster`, and for `<cluster>_all`, in which each node is a replica.

    Workers use the database `clickmill` on the node of their shard that accepts inserts; the API and collectors use
    `clickmill_api` on any node. The macros {shard} and {replica} must be set.
    """
    made = [f"CREATE DATABASE IF NOT EXISTS {database} ON CLUSTER '{cluster}'" for database in (WORKERS, API)]
    for _, _, file in migrations():
        for statement in statements(file):
            made += _on_cluster(statement, cluster)
    return [*made, _event_id_key()]


def _event_id_key() -> str:
    """Inserts the key as `migrate` does, if there is none."""
    table, name = f"{WORKERS}.installation", EVENT_ID_KEY
    return (
        f"INSERT INTO {table} (name, value) SELECT '{name}', '{new_key()}' "
        f"WHERE (SELECT count() FROM {table} WHERE name = '{name}') = 0"
    )


def _on_cluster(statement: str, cluster: str) -> list[str]:
    if altered := _ALTER.match(statement):  # the table that holds the rows, and the distributed one
        databases = (WORKERS,) if altered[1] in _ON_WORKERS_ONLY else (WORKERS, API)
        return [_placed(statement, altered, database, cluster) for database in databases]
    found = _OBJECT.match(statement)
    if found is None:
        raise ValueError(f"no rule for the cluster: {statement[:60]}")
    kind, name = found.groups()
    if kind == "VIEW":  # over all shards for people, over its own for a worker
        return [_placed(statement, found, database, cluster) for database in (WORKERS, API)]
    if kind == "MATERIALIZED VIEW" or "ENGINE = Null" in statement:
        return [_placed(statement, found, WORKERS, cluster)]
    sharded = name in _SHARDED
    home, other = (WORKERS, API) if name in _OF_WORKERS else (API, WORKERS)
    table = _placed(_replicated(statement, home, name, sharded), found, home, cluster)
    reach = cluster if sharded else f"{cluster}_all"
    distributed = f"ENGINE = Distributed('{reach}', '{home}', '{name}')"
    return [table, f"CREATE TABLE IF NOT EXISTS {other}.{name} ON CLUSTER '{cluster}' AS {home}.{name} {distributed}"]


def _placed(statement: str, found: re.Match[str], database: str, cluster: str) -> str:
    """The statement with its object in the database, on every node."""
    name = found[found.lastindex or 0]
    head = f"{found.group()[: -len(name)]}{database}.{name} ON CLUSTER '{cluster}'"
    placed = head + statement[found.end() :]
    return re.sub(r"\b(TO|FROM) (rollup|landing)\b", rf"\1 {database}.\2", placed)


def _replicated(statement: str, database: str, name: str, sharded: bool) -> str:
    shard = "/{shard}" if sharded else ""
    path = f"'/clickhouse/tables/{database}/{name}{shard}', '{{replica}}'"

    def engine(found: re.Match[str]) -> str:
        version = f", {found[2]}" if found[2] else ""
        return f"ENGINE = Replicated{found[1]}({path}{version})"

    # Compare-and-set makes batches unique; a window of tokens or hashes could only lose one.
    return _ENGINE.sub(engine, statement).replace("non_replicated_deduplication", "replicated_deduplication")
