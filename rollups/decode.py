"""A log batch as clicks: every record of it, in order, with the reason it is counted under."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ingest.event import Click, Rejected, decode_record
from rollups.lease import LogBatch


class Reason(IntEnum):
    """What became of a click; the values are those of the Enum8 in ClickHouse."""

    COUNTED = 0
    INVALID = 1
    FUTURE = 2
    DUPLICATE = 3
    REPEAT = 4
    BOT = 5
    PREFETCH = 6
    GAP = 7


@dataclass(slots=True)
class Row:
    """One line of the landing table: a click, or what stands in its record's place.

    `records` is how many offsets the row accounts for: 1, 0 for a further click of the same record, n for a gap.
    `index` is the click's place among those of its `record`, an aiokafka ConsumerRecord.
    `verified` is False if an earlier delivery of the same click, or a repeat, may have gone unnoticed.
    """

    offset: int
    log_time_ms: int
    records: int
    click: Click | None
    reason: Reason = Reason.COUNTED
    verified: bool = True
    index: int = 0
    record: Any = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be counted, with where it came from: `raw` is the item as it came, not its whole array."""

    offset: int
    reason: Reason
    error: str
    message: str
    raw: bytes | None
    index: int | None
    key: bytes | None


@dataclass(slots=True)
class Decoded:
    rows: list[Row] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


def decode(batch: LogBatch) -> Decoded:
    """Rows for exactly the offsets [start, end) of the batch, in log order."""
    decoded = Decoded()
    for record in batch.records:
        records = 1
        for index, item in enumerate(decode_record(record.value)):
            row = Row(record.offset, max(0, record.timestamp), records, None, Reason.INVALID, True, index, record)
            if isinstance(item, Rejected):
                decoded.dead.append(_dead(record, item))
            else:
                row.click, row.reason = item, Reason.COUNTED
            decoded.rows.append(row)
            records = 0
    decoded.rows.extend(_gap(batch))
    return decoded


def _dead(record: Any, item: Rejected) -> DeadLetter:
    return DeadLetter(record.offset, Reason.INVALID, item.fault.value, item.message, item.raw, item.index, record.key)


def _gap(batch: LogBatch) -> Iterator[Row]:
    """One row for the offsets of the batch that hold no record."""
    missing = batch.end - batch.start - len(batch.records)
    if missing:
        log_time = batch.records[-1].timestamp if batch.records else 0
        yield Row(batch.end - 1, log_time, missing, None, Reason.GAP)
