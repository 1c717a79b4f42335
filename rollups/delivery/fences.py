"""Writes fences, so that inserts of earlier claims are refused, and kills those that are in flight."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable

from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import comment_prefix
from rollups.delivery.markers import Marker, Markers
from rollups.delivery.replica import Replica

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

    def kill_inflight_inserts(self, partitions: Iterable[int]) -> None:
        """Kills inserts in flight that contain any of the partitions; returns once their outcome is settled. Blocks."""
        for partition in partitions:
            self._db.command(
                "KILL QUERY WHERE startsWith(Settings['log_comment'], {prefix:String}) "
                "AND position(Settings['log_comment'], {partition:String}) > 0 SYNC",
                {"prefix": comment_prefix(self._source), "partition": f",{partition},"},
            )
        self.replica.settle()


def next_epoch(epoch: int) -> int:
    return ((epoch >> _RANDOM_BITS) + 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
