"""One batch, one INSERT: the pinned settings and what its answer means."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import pyarrow as pa

from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.markers import insert_comment

# Part of the delivery protocol: with these a block of any size becomes exactly one part, in one thread, before the
# answer, and a failing view fails the insert.
PINNED = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_threads": 1,
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 0,
    "materialized_views_ignore_errors": 0,
}

_THROW_IF = 395


class Outcome(Enum):
    APPLIED = "applied"
    STALE = "stale"  # the watermark is not where the batch starts: an earlier attempt had landed
    FENCED = "fenced"  # somebody claimed a partition of the batch after us
    REFUSED = "refused"  # by what is in the batch; nothing of it was applied
    UNKNOWN = "unknown"  # it may or may not have been applied; only a claim can tell


def insert_batch(db: ClickHouse, source: int, partitions: Iterable[int], batch: pa.Table) -> tuple[Outcome, str]:
    """Applies a batch whole or not at all; returns the outcome and ClickHouse's words, empty when applied."""
    settings = {**PINNED, "log_comment": insert_comment(source, partitions)}
    try:
        db.insert_arrow("landing", batch, settings)
    except ClickHouseError as error:
        return _classify(error), str(error)
    return Outcome.APPLIED, ""


def _classify(error: ClickHouseError) -> Outcome:
    if error.code == _THROW_IF:
        return Outcome.FENCED if "FENCED" in str(error) else Outcome.STALE
    return Outcome.REFUSED if error.refuses_content else Outcome.UNKNOWN
