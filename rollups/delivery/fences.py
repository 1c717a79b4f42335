"""Writes fences, so that inserts of earlier claims are refused, and kills those that are in flight."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import comment_prefix
from rollups.delivery.markers import Marker, Markers

_RANDOM_BITS = 32  # low bits, so that two claimers with the same counter differ


class Fences:
    """The fences of one source."""

    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self._source = source

    def raise_fences(self, partitions: Iterable[int]) -> dict[int, int]:
        """Writes an epoch above the highest known one for each partition; returns the written epochs. Blocks."""
        known = Markers(self._db, self._source).read()
        epochs = {partition: next_epoch(known.get(partition, Marker()).epoch) for partition in partitions}
        self._db.insert(
            "rollup",
            [("fence", self._source, partition, epoch) for partition, epoch in epochs.items()],
            ["grain", "source", "partition", "next"],
        )
        return epochs

    def kill_inflight_inserts(self, partitions: Iterable[int]) -> None:
        """Kills inserts in flight that contain any of the partitions, and waits until they are gone. Blocks."""
        for partition in partitions:
            self._db.command(
                "KILL QUERY WHERE startsWith(Settings['log_comment'], {prefix:String}) "
                "AND position(Settings['log_comment'], {partition:String}) > 0 SYNC",
                {"prefix": comment_prefix(self._source), "partition": f",{partition},"},
            )


def next_epoch(epoch: int) -> int:
    return ((epoch >> _RANDOM_BITS) + 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
