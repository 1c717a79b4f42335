"""Decodes a fetched batch into rows, one for each click, and makes the dead letters of those that are invalid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.event import (
    MAX_RECORD_EVENTS,
    UNPARSABLE,
    Click,
    Fault,
    Rejected,
    decode_record,
    parse_record,
    split_array,
    validate_and_normalize,
)
from rollups.kafka_log.timestamps import LATEST, LogClock, LogTimes
from rollups.model import DeadLetter, FetchedBatch, Reason, Records
from rollups.transform.click_columns import BLANK, ClickColumns, Ints, Mask

_MAX_OWN_LETTERS = 20  # items of one record that get a letter each; further ones share a letter


@dataclass(slots=True, kw_only=True)
class Rows:
    """Columns over rows of the landing table: clicks in log order, or a placeholder for a record or gap.

    `records` is the number of offsets of a row: 1, 0 for a further click of the same record, n for a gap.
    `log_time_ms` and `settled_ms` are `taken_in` and `settled` of the record (rollups/kafka_log/timestamps.py).
    `verified` is False if a duplicate or repeat may have gone unnoticed; here, if the record has no key, so that its
    producer may have sent it to any partition.
    """

    offsets: Ints
    log_time_ms: Ints
    records: Ints
    reasons: NDArray[np.int8]
    columns: ClickColumns
    verified: Mask
    settled_ms: Ints

    def __len__(self) -> int:
        return len(self.offsets)


Problem = tuple[Reason, str, str]  # (reason, error, message)


@dataclass(slots=True, kw_only=True)
class Decoded:
    """A batch as rows. `counts` are the rows per record, `problems` say by row why it is a dead letter."""

    batch: FetchedBatch
    rows: Rows
    counts: Ints
    problems: dict[int, Problem]
    times: LogTimes


def decode(
    batch: FetchedBatch, most: int, poison: Mapping[int, str], clock: LogClock | None = None, now_ms: int = LATEST
) -> tuple[Decoded, FetchedBatch | None]:
    """Rows for the offsets of the batch, in log order, up to about `most` clicks; also the rest of the batch, if any.

    Records are not split, so there may be up to MAX_RECORD_EVENTS more clicks. `poison` says by offset why a record
    cannot be counted; it is not parsed. `clock` is the one after the records before.
    """
    clicks, counts, problems = _parse(batch.records, most, poison)
    batch, rest = batch.cut(len(counts))
    log = batch.records
    times = (clock or LogClock.at(0)).read(log, now_ms)
    missing = batch.end - batch.start - len(log)  # offsets without a record
    columns, faults = _sift([*clicks, BLANK] if missing else clicks)
    problems.update((row, (Reason.INVALID, fault.value, message)) for row, (fault, message) in faults.items())
    reasons = np.full(len(clicks), Reason.COUNTED, np.int8)
    reasons[list(problems)] = Reason.INVALID
    offsets = np.repeat(np.array(log.offsets, np.int64), counts)
    taken_in, settled = np.repeat(times.taken_in, counts), np.repeat(times.settled, counts)
    keyed = np.repeat(np.array([bool(key) for key in log.keys], bool), counts)
    records = np.zeros(len(clicks), np.int64)
    records[np.cumsum(counts) - counts] = 1
    if missing:
        offsets, records = np.append(offsets, batch.end - 1), np.append(records, missing)
        taken_in = np.append(taken_in, taken_in[-1] if len(taken_in) else 0)
        settled = np.append(settled, times.after.settled_ms)
        reasons, keyed = np.append(reasons, np.int8(Reason.GAP)), np.append(keyed, True)
    rows = Rows(
        offsets=offsets,
        log_time_ms=taken_in,
        records=records,
        reasons=reasons,
        columns=columns,
        verified=keyed,
        settled_ms=settled,
    )
    return Decoded(batch=batch, rows=rows, counts=counts, problems=problems, times=times), rest


def _parse(log: Records, most: int, poison: Mapping[int, str]) -> tuple[list[Click], Ints, dict[int, Problem]]:
    """(clicks, with BLANK for what cannot be parsed; clicks per record; problems by row)"""
    values, poisoned = log.values, {}
    if poison:
        poisoned = {number: poison[offset] for number, offset in enumerate(log.offsets) if offset in poison}
        values = [None if number in poisoned else value for number, value in enumerate(values)]
    clicks: list[Click] = []
    counts: list[int] = []
    problems: dict[int, Problem] = {}
    for number, value in enumerate(values):
        if len(clicks) >= most:
            break
        try:
            parsed = parse_record(value)  # type: ignore[arg-type]
        except UNPARSABLE:
            parsed = []
        if type(parsed) is Click:
            clicks.append(parsed)
            counts.append(1)
            continue
        if 0 < len(parsed) <= MAX_RECORD_EVENTS:
            clicks += parsed
            counts.append(len(parsed))
            continue
        reason = poisoned.get(number)
        found = decode_record(value) if reason is None else [Rejected(Fault.UNDECODABLE, reason, None)]
        for row, item in enumerate(found, len(clicks)):
            if isinstance(item, Rejected):
                problems[row] = Reason.INVALID, item.fault.value, item.message
        clicks.extend(BLANK if isinstance(item, Rejected) else item for item in found)
        counts.append(len(found))
    return clicks, np.array(counts, np.int64), problems


def _sift(clicks: list[Click]) -> tuple[ClickColumns, dict[int, tuple[Fault, str]]]:
    """The columns of the clicks, with BLANK for invalid ones, and the faults of these by row."""
    try:
        columns = ClickColumns.from_clicks(clicks)
        suspects: Iterable[int] = np.flatnonzero(columns.suspects).tolist()
    except (OverflowError, pa.ArrowInvalid):
        suspects = range(len(clicks))
    checked = {row: validate_and_normalize(clicks[row]) for row in suspects if clicks[row] is not BLANK}
    faults = {row: problem for row, problem in checked.items() if problem}
    if faults:
        columns = ClickColumns.from_clicks([BLANK if row in faults else click for row, click in enumerate(clicks)])
    return columns, faults


def dead_letters(decoded: Decoded) -> list[DeadLetter]:
    """The dead letters of a batch, in log order, at most a few per record."""
    ends = np.cumsum(decoded.counts)
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    rows = sorted(decoded.problems)
    for row, number in zip(rows, np.searchsorted(ends, rows, "right").tolist(), strict=True):
        rows_of[number].append(row)
    return [letter for number, rows in rows_of.items() for letter in _of_record(decoded, number, rows)]


def _of_record(decoded: Decoded, number: int, rows: list[int]) -> Iterator[DeadLetter]:
    log, count = decoded.batch.records, int(decoded.counts[number])
    value, key, offset = log.values[number], log.keys[number], log.offsets[number]
    items = split_array(value)
    if items is None or len(items) != count:  # the record failed as a whole
        yield DeadLetter(offset, *decoded.problems[rows[0]], value, None, key)
        return
    first = int(np.sum(decoded.counts[:number]))
    for row in rows[:_MAX_OWN_LETTERS]:
        yield DeadLetter(offset, *decoded.problems[row], items[row - first], row - first, key)
    others: defaultdict[Reason, list[int]] = defaultdict(list)
    for row in rows[_MAX_OWN_LETTERS:]:
        others[decoded.problems[row][0]].append(row)
    for reason, alike in others.items():
        _, error, message = decoded.problems[alike[0]]
        together = b"[" + b",".join(items[row - first] for row in alike) + b"]"
        yield DeadLetter(offset, reason, error, f"{len(alike)} items; the first: {message}", together, None, key)
