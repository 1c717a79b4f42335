"""The tables of a cluster, from the same migrations as those of one node (docs/delivery.md, "Cluster")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing

from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse
from rollups.installation import EVENT_ID_KEY, ensure_event_id_key, new_key
from rollups.migrations.migrate import migrations, retention_statements, statements
from rollups.model import READERS, WORKERS

_SHARDED = ("rollup", "seen")
_OF_WORKERS = (*_SHARDED, "sources", "installation", "topic_partitions", "partition_states", "log_marks")
_ON_WORKERS_ONLY = ("landing", "rollup_mv")
_OBJECT = re.compile(r"^CREATE (?:OR REPLACE )?(TABLE|VIEW|MATERIALIZED VIEW)(?: IF NOT EXISTS)? (\w+)")
_ALTER = re.compile(r"^ALTER TABLE (\w+)")
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\((\w+)\))?")
_REPLACED = re.compile(r"^(CREATE OR REPLACE VIEW \w+|ALTER TABLE \w+ MODIFY QUERY)")

_NODES = """
SELECT maxIf(substitution, macro = 'shard'), maxIf(substitution, macro = 'replica')
FROM clusterAllReplicas('{cluster}', system.macros) GROUP BY hostName(), tcpPort()
"""


def migrate_cluster(db: ClickHouse, cluster: str, *, retention_days: int = 0) -> int:
    """Brings every node of the cluster to the newest version; returns their number. Blocks.

    All statements run each time, so that a node that was added or replaced gets what it lacks. Raises OperatorError if
    the cluster is not configured as `cluster_ddl` needs it, ClickHouseError also if a node does not respond.
    """
    with closing(db.other_database("default")) as anywhere:
        nodes = _configured_nodes(anywhere, cluster)
        for statement in _tables(cluster):
            anywhere.command(statement)
    with closing(db.other_database(WORKERS)) as workers:
        ensure_event_id_key(workers)
        for statement in retention_statements(workers, f"rollup ON CLUSTER '{cluster}'", retention_days):
            workers.command(statement)
    return nodes


def _configured_nodes(db: ClickHouse, cluster: str) -> int:
    """The number of nodes, if all of them can be told apart and are in both clusters."""
    known: dict[str, int] = dict(
        db.query(
            "SELECT cluster, count() FROM system.clusters WHERE cluster IN {names:Array(String)} GROUP BY cluster",
            {"names": [cluster, f"{cluster}_all"]},
        )
    )
    nodes = known.get(cluster, 0)
    if not nodes or known.get(f"{cluster}_all") != nodes:
        raise OperatorError(
            f"ClickHouse at {db.address} needs the clusters {cluster}, of shards, and {cluster}_all, in which each of "
            f"its nodes is a replica of one shard (remote_servers); it has {known or 'neither'}"
        )
    macros = db.query(_NODES.format(cluster=cluster))
    if len({*macros}) < nodes or not all(shard and replica for shard, replica in macros):
        raise OperatorError(
            f"the {nodes} nodes of cluster {cluster} need the macros shard and replica, no two of them the same pair; "
            f"they have {sorted(macros)}"
        )
    return nodes


def cluster_ddl(cluster: str) -> list[str]:
    """Statements for a cluster of shards, `cluster`, and for `<cluster>_all`, in which each node is a replica.

    Workers use the database `clickmill` on the node of their shard that accepts inserts; the API and collectors use
    `clickmill_api` on any node. The macros {shard} and {replica} must be set.
    """
    return [*_tables(cluster), _event_id_key()]


def _tables(cluster: str) -> list[str]:
    made = [f"CREATE DATABASE IF NOT EXISTS {database} ON CLUSTER '{cluster}'" for database in (WORKERS, READERS)]
    for statement in _newest(statement for _, _, file in migrations() for statement in statements(file)):
        made += _on_cluster(statement, cluster)
    return made


def _newest(all_statements: Iterable[str]) -> list[str]:
    """Without definitions of views that a later one replaces: at no moment may a running cluster have an old one."""
    newest: dict[str, str] = {}
    for statement in all_statements:
        replaced = _REPLACED.match(statement)
        key = replaced[1] if replaced else statement
        newest.pop(key, None)  # the place of the later one counts
        newest[key] = statement
    return list(newest.values())


def _event_id_key() -> str:
    """Inserts the key as `migrate` does, if there is none."""
    table, name = f"{WORKERS}.installation", EVENT_ID_KEY
    return (
        f"INSERT INTO {table} (name, value) SELECT '{name}', '{new_key()}' "
        f"WHERE (SELECT count() FROM {table} WHERE name = '{name}') = 0"
    )


def _on_cluster(statement: str, cluster: str) -> list[str]:
    if altered := _ALTER.match(statement):  # the table that holds the rows, and the distributed one
        databases = (WORKERS,) if altered[1] in _ON_WORKERS_ONLY else (WORKERS, READERS)
        return [_placed(statement, altered, database, cluster) for database in databases]
    found = _OBJECT.match(statement)
    if found is None:
        raise ValueError(f"no rule for the cluster: {statement[:60]}")
    kind, name = found.groups()
    if kind == "VIEW":  # over all shards for people, over its own for a worker
        return [_placed(statement, found, database, cluster) for database in (WORKERS, READERS)]
    if kind == "MATERIALIZED VIEW" or "ENGINE = Null" in statement:
        return [_placed(statement, found, WORKERS, cluster)]
    sharded = name in _SHARDED
    home, other = (WORKERS, READERS) if name in _OF_WORKERS else (READERS, WORKERS)
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
    path = f"/clickhouse/tables/{database}/{name}"
    # Many clusters name replicas within their shard only.
    place = f"'{path}/{{shard}}', '{{replica}}'" if sharded else f"'{path}', '{{shard}}-{{replica}}'"

    def engine(found: re.Match[str]) -> str:
        version = f", {found[2]}" if found[2] else ""
        return f"ENGINE = Replicated{found[1]}({place}{version})"

    # Compare-and-set makes batches unique; a window of tokens or hashes could only lose one.
    return _ENGINE.sub(engine, statement).replace("non_replicated_deduplication", "replicated_deduplication")
