"""The delivery markers of one source in ClickHouse: watermarks and fences by partition.

A watermark is the next offset to apply, a fence the epoch of the newest claim (written in fences.py). The materialized
view compares every insert with both, so they need no other lock (docs/decisions/0002-one-table-compare-and-set.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rollups.clickhouse import ClickHouse
from rollups.delivery.leases import Leases
from rollups.kafka_log.tail import NO_TAIL, Tail

_AHEAD_MS = 1_000


@dataclass(frozen=True, slots=True)
class Marker:
    """The markers of a partition: newest epoch, next offset to apply, last record before that."""

    epoch: int = 0
    next: int = 0
    as_of_ms: int = 0
    tail: Tail = NO_TAIL

    @property
    def started(self) -> bool:
        """Whether a watermark was written: then a missing offset was lost, not never read."""
        return self.next > 0 or self.as_of_ms > 0


class Markers:
    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self.source = source

    def read(self) -> dict[int, Marker]:
        """Markers by partition; a partition without any is absent. Blocks."""
        rows = self._db.query(
            "SELECT partition, epoch, next, toUnixTimestamp64Milli(as_of), tail.offset, "
            "toUnixTimestamp64Milli(tail.settled), tail.crc FROM watermarks WHERE source = {source:UInt32}",
            {"source": self.source},
        )
        return {
            partition: Marker(epoch, next_offset, as_of_ms, Tail(*tail))
            for partition, epoch, next_offset, as_of_ms, *tail in rows
        }

    def write_tail_times(self, seen: Mapping[int, tuple[int, int, datetime]]) -> None:
        """Writes (epoch, next, time) of each partition: its log ended at offset `next` at that time. Blocks."""
        self._db.insert(
            "rollup",
            [
                ("watermark", self.source, partition, next_offset, (epoch, at))
                for partition, (epoch, next_offset, at) in seen.items()
            ],
            ["grain", "source", "partition", "next", "reached"],
        )


async def note_empty_tails(
    tails: Mapping[int, tuple[int, int]], leases: Leases, markers: Markers, now_ms: Callable[[], int]
) -> None:
    """Writes the time of the last fetch for each log that is applied up to its end.

    `tails` are (position, milliseconds since the fetch) by partition.
    """
    now, idle = now_ms(), {}
    for partition, (position, age_ms) in tails.items():
        lease = leases.held.get(partition)
        if lease is not None and lease.ready and lease.next == position:
            idle[partition] = (lease.epoch, position, datetime.fromtimestamp((now - age_ms) / 1000, UTC))
    if idle:
        await asyncio.to_thread(markers.write_tail_times, idle)


async def reclaim_future_watermarks(leases: Leases, markers: Markers, now_ms: Callable[[], int]) -> None:
    """Reclaims partitions whose watermark has a time ahead of now: a clock was ahead and has been corrected."""
    known = await asyncio.to_thread(markers.read)
    limit = now_ms() + _AHEAD_MS
    wrong = [
        lease
        for partition, lease in leases.held.items()
        if lease.ready and partition in known and known[partition].as_of_ms > limit
    ]
    leases.reclaim(wrong, "what was said to be counted lies ahead of the broker's time")
