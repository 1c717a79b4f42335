"""Commits a batch: one insert that ClickHouse compares with the markers and applies whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import Enum

import pyarrow as pa

from rollups.clickhouse import TURN_SECONDS, ClickHouse, ClickHouseError
from rollups.clickhouse_codes import FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, Away
from rollups.delivery.replica import sync_replica

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


class Outcome(Enum):
    APPLIED = "applied"
    STALE = "stale"  # the watermark is not at the start of the batch: an earlier attempt was applied
    FENCED = "fenced"  # another worker has claimed a partition of the batch since
    REFUSED = "refused"  # because of the content of the batch; nothing of it was applied
    UNKNOWN = "unknown"  # it may have been applied; only a claim can tell


def insert_batch(db: ClickHouse, source: int, partitions: Iterable[int], batch: pa.Table) -> tuple[Outcome, str]:
    """Applies a batch whole or not at all; returns the outcome and, if not applied, the error message. Blocks."""
    settings = {**PINNED, "log_comment": insert_comment(source, partitions)}
    deadline = time.monotonic() + TURN_SECONDS
    while True:
        try:
            db.insert_arrow("landing", batch, settings)
            return Outcome.APPLIED, ""
        except ClickHouseError as error:
            if error.code != Away.UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE or time.monotonic() > deadline:
                return _classify(error), str(error)
        # Not blindly: what waits for its quorum may be this batch, committed and not known to the server yet.
        try:
            sync_replica(db, "rollup")
        except ClickHouseError as error:
            return Outcome.UNKNOWN, str(error)


def _classify(error: ClickHouseError) -> Outcome:
    if error.code == FUNCTION_THROW_IF_VALUE_IS_NON_ZERO:
        return Outcome.FENCED if "FENCED" in str(error) else Outcome.STALE
    return Outcome.REFUSED if error.refuses_content else Outcome.UNKNOWN


def comment_prefix(source: int) -> str:
    return f"clickmill insert {source} "


def insert_comment(source: int, partitions: Iterable[int]) -> str:
    """The log comment by which a claim finds inserts of its partitions."""
    return comment_prefix(source) + "," + "".join(f"{partition}," for partition in sorted(partitions))
