"""Writes fences, so that inserts of earlier claims are refused, and ends those that are in flight."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection

from rollups.clickhouse import ClickHouse, ClickHouseUnavailable
from rollups.delivery.batch_insert import comment_prefix
from rollups.delivery.markers import Marker, Markers
from rollups.delivery.replica import Replica

_DRAIN_SECONDS = 30.0
_IN_FLIGHT = """
startsWith(Settings['log_comment'], {prefix:String})
AND arrayExists(partition -> position(Settings['log_comment'], partition) > 0, {partitions:Array(String)})
"""
_RANDOM_BITS = 32  # low bits, so that two claimers with the same counter differ


class Fences:
    """The fences of one source."""

    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self._source = source
        self.replica = Replica(db, source)

    def raise_fences(self, partitions: Collection[int]) -> dict[int, int]:
        """Writes an epoch above the highest known one for each partition; returns the written epochs. Blocks.

        Raises NotTheIngestReplica. The `domain` of a fence is the replica that it was raised on.
        """
        replica = self.replica.begin_claim(partitions)
        known = Markers(self._db, self._source).read()
        epochs = {partition: next_epoch(known.get(partition, Marker()).epoch) for partition in partitions}
        self._db.insert(
            "rollup",
            [("fence", self._source, partition, epoch, replica) for partition, epoch in epochs.items()],
            ["grain", "source", "partition", "next", "domain"],
        )
        return epochs

    def end_inflight_inserts(self, partitions: Collection[int]) -> None:
        """Returns once no insert in flight contains any of the partitions, and the outcome of each is settled. Blocks.

        They are killed, except on replicated tables: there a killed one may be committed on the other replicas alone.
        """
        found = {"prefix": comment_prefix(self._source), "partitions": [f",{partition}," for partition in partitions]}
        if self.replica.alone:
            self._db.command(f"KILL QUERY WHERE {_IN_FLIGHT} SYNC", found)
            return
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._db.query(f"SELECT count() FROM system.processes WHERE {_IN_FLIGHT}", found) != [(0,)]:
            if time.monotonic() > deadline:
                raise ClickHouseUnavailable("an insert of an earlier claim is still in flight")
            time.sleep(0.05)
        self.replica.settle()


def next_epoch(epoch: int) -> int:
    return ((epoch >> _RANDOM_BITS) + 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
