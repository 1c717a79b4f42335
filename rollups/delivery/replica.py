"""What exactly once needs where `rollup` is replicated (docs/decisions/0018-failover.md).

One replica of a shard takes the inserts. Each is on a second replica before it is acknowledged, so that nothing which a
worker relies on is lost with one server. On tables that are not replicated nothing here has an effect.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable
from rollups.delivery.shard import shard_of
from rollups.model import READERS

# Not in parallel: ClickHouse merges a part that waits for its quorum only with `insert_quorum_parallel`, and a merged
# part that dies with its server would take acknowledged ones with it.
QUORUM = {"insert_quorum": 2, "insert_quorum_parallel": 0, "insert_quorum_timeout": 20_000}
_SYNC_SECONDS = 20
_SETTLE_SECONDS = 10.0

_STATE = """
SELECT replica_name, replica_is_active, is_readonly, zookeeper_path FROM system.replicas
WHERE database = currentDatabase() AND table = {table:String}
"""
_UNKNOWN_PARTS = """
SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'rollup' AND active
AND name NOT IN (SELECT name FROM system.zookeeper WHERE path = {path:String})
"""
_ON_OTHER_SHARDS = f"""
SELECT partition, max(next) FROM {READERS}.rollup WHERE grain = 'watermark' AND source = {{source:UInt32}}
AND partition IN {{partitions:Array(UInt16)}} GROUP BY partition HAVING max(next) > 0 ORDER BY partition
"""
_COUNTED = "SELECT DISTINCT partition FROM rollup WHERE grain = 'watermark' AND source = {source:UInt32}"
_LAST_CLAIMED_ON = """
SELECT partition, argMax(domain, next) FROM rollup WHERE grain = 'fence' AND source = {source:UInt32} GROUP BY partition
"""


class NotTheIngestReplica(OperatorError):
    """Another replica of the shard takes the inserts."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One table on one server. `active` has all replicas that Keeper knows, by name; none if Keeper is away."""

    name: str
    active: Mapping[str, int]
    readonly: bool
    keeper_path: str

    @property
    def usable(self) -> bool:
        return not self.readonly and self.name in self.active


def replica_state(db: ClickHouse, table: str = "rollup") -> ReplicaState | None:
    """None if the table is not replicated. Blocks."""
    rows = db.query(_STATE, {"table": table})
    return ReplicaState(rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else None


def sync_replica(db: ClickHouse, table: str, seconds: int = _SYNC_SECONDS) -> None:
    """Returns once the server has every part that is committed by now. Raises ClickHouseError. Blocks."""
    db.command(f"SYSTEM SYNC REPLICA {table} LIGHTWEIGHT", settings={"receive_timeout": seconds})


class Replica:
    """The replica that a worker inserts into."""

    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self._source = source
        self.alone = False  # known since the first `refresh`: the tables are not replicated

    def refresh(self) -> ReplicaState | None:
        """Lets inserts wait for a second replica, if one is registered. Raises ClickHouseUnavailable. Blocks."""
        state = None if self.alone else replica_state(self._db)
        if state is None:
            self.alone = True
            return None
        if not state.usable:
            raise ClickHouseUnavailable(f"ClickHouse at {self._db.address} is not connected to Keeper as a replica")
        self._db.insert_settings = QUORUM if len(state.active) > 1 else {}
        return state

    def begin_claim(self, partitions: Collection[int]) -> str:
        """Brings the server up to date; returns its name as a replica, empty if it is none.

        Raises NotTheIngestReplica if the last claim was on another replica, which could still commit, or on another
        shard. Blocks.
        """
        state = self.refresh()
        if state is None:
            return ""
        sync_replica(self._db, "rollup")
        for partition, name in self._db.query(_LAST_CLAIMED_ON, {"source": self._source}):
            if partition in partitions and name != state.name and name in state.active:
                raise NotTheIngestReplica(
                    f"partition {partition} is counted on replica {name}, and ClickHouse at {self._db.address} is "
                    f"{state.name}: let CLICKMILL_CLICKHOUSE_URL name {name}; `clickmill failover {name}` is the way "
                    f"to move to {state.name}"
                )
        self._refuse_partitions_of_other_shards(partitions)
        return state.name

    def _refuse_partitions_of_other_shards(self, partitions: Collection[int]) -> None:
        """What was never counted here may have been, if the number of shards has changed."""
        counted = {partition for (partition,) in self._db.query(_COUNTED, {"source": self._source})}
        new = sorted({*partitions} - counted)
        if not new or shard_of(self._db).count == 1:
            return
        for partition, watermark in self._db.query(_ON_OTHER_SHARDS, {"source": self._source, "partitions": new}):
            raise NotTheIngestReplica(
                f"partition {partition} is counted up to {watermark} on another shard: has the number of shards "
                "changed? Partitions of a topic stay on their shards; a topic of another name may use the new ones"
            )

    def settle(self) -> None:
        """Returns once every part on the server is committed and every committed one is there. Blocks.

        An insert that lost Keeper while it committed leaves a part that may turn out to be either.
        """
        state = replica_state(self._db)
        if state is None:
            return
        sync_replica(self._db, "rollup")
        path = f"{state.keeper_path}/replicas/{state.name}/parts"
        deadline = time.monotonic() + _SETTLE_SECONDS
        while parts := self._db.query(_UNKNOWN_PARTS, {"path": path}):
            if time.monotonic() > deadline:
                raise ClickHouseUnavailable(f"part {parts[0][0]} of rollup is not in Keeper, ClickHouse checks it")
            time.sleep(0.1)
