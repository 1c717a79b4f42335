"""Fail-over of a shard to another replica, and the way back for the old one (docs/decisions/0018-failover.md).

The old replica is dropped from Keeper. Whatever its server does later, it can commit nothing and bring nothing back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.replica import ReplicaState, replica_state, sync_replica

TABLES = ("rollup", "seen")
# Every node has these, and each row holds wherever it was written: what the old server alone has may come later.
_SHARED = ("installation", "sources", "topic_partitions", "partition_states", "log_marks")

_MISSING = """
SELECT new_part_name FROM system.replication_queue
WHERE database = currentDatabase() AND table = {table:String} AND type IN ('GET_PART', 'ATTACH_PART') ORDER BY ALL
"""
_TO_COPY = """
SELECT queue_size FROM system.replicas WHERE database = currentDatabase() AND table = {table:String}
"""
_CREATE = """
SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}
"""
_REGISTERED = "SELECT name FROM system.zookeeper WHERE path = {path:String}"
_GAPS = """
SELECT source, partition, sum(records) AS counted, maxIf(next, grain = 'watermark') AS watermark
FROM rollup WHERE grain IN ('watermark', 'ledger')
GROUP BY source, partition HAVING counted != watermark ORDER BY ALL
"""
_MAX_PARTS = 5


class FailoverRefused(OperatorError):
    """Clicks could be lost or counted twice."""


class Failover:
    """Makes the server of `db` the one that takes the inserts of its shard, in place of the replica `old`."""

    def __init__(self, db: ClickHouse, old: str, wait_seconds: int = 60) -> None:
        self._db = db
        self._old = old
        self._wait = wait_seconds

    def check(self) -> str:
        """The name of the new replica, if it has all that the old one has committed; changes nothing.

        Raises FailoverRefused and ClickHouseError. Blocks until the server has caught up, or for `wait_seconds`.
        """
        self._require_gone()
        for table in TABLES:
            self._catch_up(table)
        self._require_no_gaps()
        return self._state("rollup").name

    def run(self) -> list[str]:
        """After `check`: drops the old replica; returns warnings. Raises as `check`. Blocks."""
        self._require_gone()
        for table in TABLES:
            if self._old in self._state(table).active:
                self._db.command(f"SYSTEM DROP REPLICA '{self._old}' FROM TABLE {table}")
        for table in TABLES:  # what it committed until that moment
            self._catch_up(table)
        self._require_no_gaps()
        warnings = []
        for table in _SHARED:
            try:
                sync_replica(self._db, table, seconds=5)
            except ClickHouseError as error:
                warnings.append(f"table {table} waits for parts that another server has: {str(error)[:200]}")
        return warnings

    def _state(self, table: str) -> ReplicaState:
        state = replica_state(self._db, table)
        if state is None:
            raise FailoverRefused(f"ClickHouse at {self._db.address} has no replicated table {table}")
        if not state.usable:
            raise FailoverRefused(
                f"{table} at {self._db.address} is read-only: it has lost Keeper, or an earlier fail-over has dropped "
                "it (`clickmill rejoin`)"
            )
        return state

    def _require_gone(self) -> None:
        for table in TABLES:
            state = self._state(table)
            if state.name == self._old:
                raise FailoverRefused(
                    f"{self._old} is the replica at {self._db.address}: CLICKMILL_CLICKHOUSE_URL names the one that "
                    "takes over, the argument the one that it replaces"
                )
            if state.active.get(self._old):
                raise FailoverRefused(
                    f"replica {self._old} is connected to Keeper and could go on counting: stop its server, or cut it "
                    "off from Keeper; Keeper notices when the session times out"
                )

    def _catch_up(self, table: str) -> None:
        try:
            sync_replica(self._db, table, self._wait)
        except ClickHouseError as error:
            parts = [name for (name,) in self._db.query(_MISSING, {"table": table})]
            if not parts:
                raise
            raise FailoverRefused(
                f"{len(parts)} parts of {table} are on no server that runs ({', '.join(parts[:_MAX_PARTS])}): start "
                f"the server that has them, {self._old} or another replica of the shard, and wait until they are copied"
            ) from error

    def _require_no_gaps(self) -> None:
        for source, partition, counted, watermark in self._db.query(_GAPS):
            raise FailoverRefused(
                f"source {source}, partition {partition}: {counted} records are accounted for, the watermark is "
                f"{watermark}: parts of rollup are missing at {self._db.address}"
            )


def rejoin(db: ClickHouse, progress: Callable[[str], None]) -> list[str]:
    """Makes tables anew whose replica was dropped, from the other replicas; returns their names. Blocks.

    What only this server has is deleted: since the fail-over it is counted elsewhere. A table has another name until it
    is complete, so that nobody reads half of it. What was cut off is continued.
    """
    made = [table for table in TABLES if _exists(db, _copy(table)) or _start_copy(db, table, progress)]
    for table in made:
        while not _is_complete(db, _copy(table)):
            [(left,)] = db.query(_TO_COPY, {"table": _copy(table)})
            progress(f"{table}: {left} parts to be copied")
            time.sleep(1)
        db.command(f"RENAME TABLE {_copy(table)} TO {table}")
    return made


def _copy(table: str) -> str:
    return f"{table}_copy"


def _exists(db: ClickHouse, table: str) -> bool:
    return db.query(f"EXISTS TABLE {table}") == [(1,)]


def _start_copy(db: ClickHouse, table: str, progress: Callable[[str], None]) -> bool:
    """Replaces the table by an empty copy with another name, if it was dropped; whether it was."""
    state = replica_state(db, table)
    if state is None:
        raise FailoverRefused(
            f"ClickHouse at {db.address} has no replicated table {table}: `clickmill migrate --cluster` makes it"
        )
    if not _was_dropped(db, state):
        return False
    [(create,)] = db.query(_CREATE, {"table": table})
    progress(f"{table}: deleting what was dropped, and copying it anew")
    db.command(f"DROP TABLE {table} SYNC", settings={"max_table_size_to_drop": 0, "max_partition_size_to_drop": 0})
    db.command(create.replace(f".{table} ", f".{_copy(table)} ", 1))
    return True


def _was_dropped(db: ClickHouse, state: ReplicaState) -> bool:
    path = f"{state.keeper_path}/replicas"
    registered = {name for (name,) in db.query(_REGISTERED, {"path": path})}
    if not registered:
        raise FailoverRefused(f"Keeper knows no replica below {path}: nothing could be copied")
    return state.name not in registered


def _is_complete(db: ClickHouse, table: str) -> bool:
    try:
        sync_replica(db, table, seconds=10)
    except ClickHouseError:
        return False
    return True
