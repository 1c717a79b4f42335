"""Types that the rooms share: leases, records and batches of the log, reasons, dead letters."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any

from ingest.event.addresses import AddressHasher

WORKERS, READERS = "clickmill", "clickmill_api"  # the databases of a cluster
REPEATED = 32  # is added to an hour of the rollups when the clock, set back, shows it for the second time
LATE_SECONDS = 60.0  # behind by more than this, a partition is late
LOG_APPEND_TIME = 1  # timestamp_type of a record if the broker sets the time


class State(StrEnum):
    CLAIMING = "claiming"
    READY = "ready"
    HALTED = "halted"  # waits for the decision of an operator


@dataclass(eq=False, slots=True)
class FetchPosition:
    """Where fetching goes on. A seek makes a new one: a batch of an older position is void."""

    offset: int


@dataclass(eq=False, slots=True)
class Lease:
    """One claimed partition: its epoch, the next offset to apply (`next`) and to take in (`next_intake`)."""

    partition: int
    state: State = State.CLAIMING
    epoch: int = 0
    next: int = 0
    next_intake: int = 0
    position: FetchPosition | None = None
    settled_ms: int = 0  # up to when the log had come at `next` (rollups/kafka_log/timestamps.py), 0 is unknown
    out_of_range: bool = False  # the broker refused the last fetch position
    due: float = 0.0  # monotonic time before which it is not claimed
    failures: int = 0  # in a row, of batches that start at `failed_at`
    failed_at: int = 0
    reason: str = ""  # why it halted or failed

    @property
    def ready(self) -> bool:
        return self.state is State.READY


class Records:
    """Records of the log as columns: one object per record would burden the garbage collector."""

    def __init__(self) -> None:
        self.offsets = array("q")
        self.log_times_ms = array("q")
        self.appended = bytearray()  # 1 if the broker set the time, 0 if a producer did
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.nbytes = 0  # of the values

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, records: Iterable[Any]) -> Records:
        """Adds records with offset, timestamp (ms), timestamp_type, key and value, as in aiokafka."""
        for record in records:
            self.offsets.append(record.offset)
            self.log_times_ms.append(record.timestamp)
            self.appended.append(record.timestamp_type == LOG_APPEND_TIME)
            self.keys.append(record.key)
            self.values.append(record.value)
            self.nbytes += len(record.value or b"")  # counted here while the value is in the CPU cache
        return self

    def extend(self, other: Records) -> None:
        self.offsets.extend(other.offsets)
        self.log_times_ms.extend(other.log_times_ms)
        self.appended.extend(other.appended)
        self.keys.extend(other.keys)
        self.values.extend(other.values)
        self.nbytes += other.nbytes

    def between(self, start: int, end: int) -> Records:
        """The records from index `start` up to, not including, `end`."""
        part = Records()
        part.offsets, part.log_times_ms = self.offsets[start:end], self.log_times_ms[start:end]
        part.appended = self.appended[start:end]
        part.keys, part.values = self.keys[start:end], self.values[start:end]
        part.nbytes = sum(len(value or b"") for value in part.values)
        return part


@dataclass(slots=True)
class FetchedBatch:
    """What one fetch returned for a partition: all records of the log in [start, end).

    Offsets between `start` and `end` without a record (transaction markers, compaction) are gaps.
    """

    partition: int
    position: FetchPosition
    start: int
    end: int
    records: Records = field(default_factory=Records)

    def cut(self, count: int) -> tuple[FetchedBatch, FetchedBatch | None]:
        """The first `count` records (at least one), and the rest, if any."""
        if count >= len(self.records):
            return self, None
        end = self.records.offsets[count - 1] + 1
        head = FetchedBatch(self.partition, self.position, self.start, end, self.records.between(0, count))
        rest = self.records.between(count, len(self.records))
        return head, FetchedBatch(self.partition, self.position, end, self.end, rest)

    def joined(self, following: FetchedBatch | None) -> FetchedBatch:
        """Appends the batch that follows, if any."""
        if following:
            self.records.extend(following.records)
            self.end = following.end
        return self


LeasedBatch = tuple[Lease, FetchedBatch]


class Reason(IntEnum):
    """What became of a click, with the values of the Enum8 in ClickHouse."""

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
    """Something that could not be counted, and its origin.

    `raw` is the value of the record; for an array the item at `index`; or, if more items are wrong than get a letter
    each, an array of the others.
    """

    offset: int
    reason: Reason
    error: str
    message: str
    raw: bytes | None
    index: int | None
    key: bytes | None

    def hide_addresses(self, addresses: AddressHasher) -> DeadLetter:
        """The letter without addresses: its topic keeps records longer than that of events."""
        return self if self.raw is None else replace(self, raw=addresses.hide_addresses(self.raw))
