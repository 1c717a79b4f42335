"""A log batch as clicks: every record of it, in order, with the reason it is counted under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.event import UNPARSABLE, Click, Fault, Rejected, check, decode_record, parse_record, raw_item
from rollups.fields import BLANK, Fields, Ints, Mask
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
class Rows:
    """The lines of the landing table, a column each: clicks in log order, or what stands in a record's place.

    `records` is how many offsets a row accounts for: 1, 0 for a further click of the same record, n for a gap.
    `verified` is False if an earlier delivery of the same click, or a repeat, may have gone unnoticed.
    """

    offsets: Ints
    log_time_ms: Ints
    records: Ints
    reasons: NDArray[np.int8]
    fields: Fields
    verified: Mask

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(slots=True)
class Decoded:
    """Rows, and of each which record of the batch it comes from, and which item of that record (not of a gap)."""

    rows: Rows
    numbers: Ints
    items: Ints
    dead: list[DeadLetter] = field(default_factory=list)


def decode(batch: LogBatch) -> Decoded:
    """Rows for exactly the offsets [start, end) of the batch, in log order."""
    log = batch.records
    clicks, counts, rejected = _parse(log.values)
    missing = batch.end - batch.start - len(log)  # offsets that hold no record
    numbers = np.repeat(np.arange(len(counts)), counts)
    items = np.arange(len(clicks)) - np.repeat(np.cumsum(counts) - counts, counts)
    fields, faults = _sift([*clicks, BLANK] if missing else clicks)
    for row, (fault, message) in faults.items():
        raw, index = raw_item(log.values[numbers[row]] or b"", int(items[row]))
        rejected[row] = Rejected(fault, message, raw, index)
    reasons = np.full(len(clicks), Reason.COUNTED, np.int8)
    reasons[list(rejected)] = Reason.INVALID
    offsets = np.array(log.offsets, np.int64)[numbers]
    log_times = np.array(log.log_times_ms, np.int64)[numbers]
    records = (items == 0).astype(np.int64)
    if missing:
        offsets, records = np.append(offsets, batch.end - 1), np.append(records, missing)
        log_times = np.append(log_times, log_times[-1] if len(log_times) else 0)
        reasons = np.append(reasons, np.int8(Reason.GAP))
    rows = Rows(offsets, np.maximum(log_times, 0), records, reasons, fields, np.ones(len(offsets), bool))
    dead = [_dead(int(offsets[row]), log.keys[numbers[row]], rejected[row]) for row in sorted(rejected)]
    return Decoded(rows, numbers, items, dead)


def _parse(values: list[bytes | None]) -> tuple[list[Click], Ints, dict[int, Rejected]]:
    """(clicks, how many there are of each record, what could not be parsed by row, with a blank in its place)"""
    clicks: list[Click] = []
    rejected: dict[int, Rejected] = {}
    counts = np.ones(len(values), np.int64)
    for number, value in enumerate(values):
        try:
            parsed = parse_record(value)  # type: ignore[arg-type]
        except UNPARSABLE:
            parsed = []
        if type(parsed) is Click:
            clicks.append(parsed)
            continue
        found = parsed or decode_record(value)  # which names what is wrong
        counts[number] = len(found)
        rejected.update((len(clicks) + at, item) for at, item in enumerate(found) if isinstance(item, Rejected))
        clicks.extend(BLANK if isinstance(item, Rejected) else item for item in found)
    return clicks, counts, rejected


def _sift(clicks: list[Click]) -> tuple[Fields, dict[int, tuple[Fault, str]]]:
    """The fields of the clicks, blank where one is invalid, and what is wrong with these by row."""
    try:
        fields = Fields.of(clicks)
        suspects: Iterable[int] = np.flatnonzero(fields.suspects).tolist()
    except (OverflowError, pa.ArrowInvalid):
        suspects = range(len(clicks))
    checked = {row: check(clicks[row]) for row in suspects if clicks[row] is not BLANK}
    faults = {row: problem for row, problem in checked.items() if problem}
    if faults:
        fields = Fields.of([BLANK if row in faults else click for row, click in enumerate(clicks)])
    return fields, faults


def _dead(offset: int, key: bytes | None, item: Rejected) -> DeadLetter:
    return DeadLetter(offset, Reason.INVALID, item.fault.value, item.message, item.raw, item.index, key)
