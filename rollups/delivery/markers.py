"""The delivery markers of one source in ClickHouse, and the insert that is compared with them.

Each Kafka partition has a watermark, the next offset to apply, and a fence, the epoch of the newest claim. The
materialized view compares every insert with both, so they need no other lock
(docs/decisions/0002-one-table-compare-and-set.md).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import pyarrow as pa

from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.clickhouse_codes import FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
from rollups.delivery.leases import Leases
from rollups.kafka_log.tail import NO_TAIL, Tail

# Part of the delivery protocol: a block of any size becomes exactly one part, in one thread, before the response, and a
# failing view fails the insert.
PINNED = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_threads": 1,
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 0,
    "materialized_views_ignore_errors": 0,
}

_AHEAD_MS = 1_000
_RANDOM_BITS = 32  # low bits, so that two claimers with the same counter differ


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

    def raise_fences(self, partitions: Iterable[int]) -> dict[int, int]:
        """Writes an epoch above the highest known one for each partition; returns the written epochs. Blocks."""
        known = self.read()
        epochs = {partition: next_epoch(known.get(partition, Marker()).epoch) for partition in partitions}
        self._db.insert(
            "rollup",
            [("fence", self.source, partition, epoch) for partition, epoch in epochs.items()],
            ["grain", "source", "partition", "next"],
        )
        return epochs

    def kill_inflight_inserts(self, partitions: Iterable[int]) -> None:
        """Kills inserts in flight that contain any of the partitions, and waits until they are gone. Blocks."""
        for partition in partitions:
            self._db.command(
                "KILL QUERY WHERE startsWith(Settings['log_comment'], {prefix:String}) "
                "AND position(Settings['log_comment'], {partition:String}) > 0 SYNC",
                {"prefix": comment_prefix(self.source), "partition": f",{partition},"},
            )

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


def next_epoch(epoch: int) -> int:
    return ((epoch >> _RANDOM_BITS) + 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def comment_prefix(source: int) -> str:
    return f"clickmill insert {source} "


def insert_comment(source: int, partitions: Iterable[int]) -> str:
    """The log comment by which a claim finds inserts of its partitions."""
    return comment_prefix(source) + "," + "".join(f"{partition}," for partition in sorted(partitions))


class Outcome(Enum):
    APPLIED = "applied"
    STALE = "stale"  # the watermark is not at the start of the batch: an earlier attempt was applied
    FENCED = "fenced"  # another worker has claimed a partition of the batch since
    REFUSED = "refused"  # because of the content of the batch; nothing of it was applied
    UNKNOWN = "unknown"  # it may have been applied; only a claim can tell


def insert_batch(db: ClickHouse, source: int, partitions: Iterable[int], batch: pa.Table) -> tuple[Outcome, str]:
    """Applies a batch whole or not at all; returns the outcome and, if not applied, the error message. Blocks."""
    settings = {**PINNED, "log_comment": insert_comment(source, partitions)}
    try:
        db.insert_arrow("landing", batch, settings)
    except ClickHouseError as error:
        return _classify(error), str(error)
    return Outcome.APPLIED, ""


def _classify(error: ClickHouseError) -> Outcome:
    if error.code == FUNCTION_THROW_IF_VALUE_IS_NON_ZERO:
        return Outcome.FENCED if "FENCED" in str(error) else Outcome.STALE
    return Outcome.REFUSED if error.refuses_content else Outcome.UNKNOWN
