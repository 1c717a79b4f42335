"""The delivery markers of one source in ClickHouse: a fence and a watermark per Kafka partition.

The watermark is the next offset to apply, the fence the epoch of the newest claim. Every insert is compared with
both by the materialized view, so they need no other lock (docs/decisions/0002-one-table-compare-and-set.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rollups.clickhouse import ClickHouse
from rollups.kafka_log.tail import NO_TAIL, Tail

_RANDOM_BITS = 32  # the low ones, so that two claimers of one counter differ


@dataclass(frozen=True, slots=True)
class Marker:
    """What ClickHouse says of a partition: the newest epoch, the next offset to apply, the last record before it."""

    epoch: int = 0
    next: int = 0
    as_of_ms: int = 0
    tail: Tail = NO_TAIL

    @property
    def started(self) -> bool:
        """A watermark has been written, so an offset that is gone was lost, not never seen."""
        return self.next > 0 or self.as_of_ms > 0


class Markers:
    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self.source = source

    def read(self) -> dict[int, Marker]:
        """Markers by partition; a partition without any is absent."""
        rows = self._db.query(
            "SELECT partition, epoch, next, toUnixTimestamp64Milli(as_of), tail.offset, "
            "toUnixTimestamp64Milli(tail.settled), tail.crc FROM watermarks WHERE source = {source:UInt32}",
            {"source": self.source},
        )
        return {
            partition: Marker(epoch, next_offset, as_of_ms, Tail(*tail))
            for partition, epoch, next_offset, as_of_ms, *tail in rows
        }

    def raise_fences(self, partitions: Iterable[int]) -> dict[int, int]:
        """Writes an epoch above the highest known one for each partition; returns the epochs written."""
        known = self.read()
        epochs = {partition: next_epoch(known.get(partition, Marker()).epoch) for partition in partitions}
        self._db.insert(
            "rollup",
            [("fence", self.source, partition, epoch) for partition, epoch in epochs.items()],
            ["grain", "source", "partition", "next"],
        )
        return epochs

    def drain(self, partitions: Iterable[int]) -> None:
        """Kills inserts under way that carry any of the partitions and waits until they are gone."""
        for partition in partitions:
            self._db.command(
                "KILL QUERY WHERE startsWith(Settings['log_comment'], {prefix:String}) "
                "AND position(Settings['log_comment'], {partition:String}) > 0 SYNC",
                {"prefix": comment_prefix(self.source), "partition": f",{partition},"},
            )

    def touch(self, seen: Mapping[int, tuple[int, int, datetime]]) -> None:
        """Notes (epoch, next, time) of each partition: its log was empty after offset `next` at that time."""
        self._db.insert(
            "rollup",
            [
                ("watermark", self.source, partition, next_offset, (epoch, at))
                for partition, (epoch, next_offset, at) in seen.items()
            ],
            ["grain", "source", "partition", "next", "reached"],
        )


def next_epoch(epoch: int) -> int:
    return ((epoch >> _RANDOM_BITS) + 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def comment_prefix(source: int) -> str:
    return f"clickmill insert {source} "


def insert_comment(source: int, partitions: Iterable[int]) -> str:
    """The log comment by which a claim finds the inserts that carry its partitions."""
    return comment_prefix(source) + "," + "".join(f"{partition}," for partition in sorted(partitions))
