"""What a worker holds of a partition, and the stretch of log that it is handed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    CLAIMING = "claiming"
    READY = "ready"
    HALTED = "halted"  # the log no longer has what comes next; an operator must decide


@dataclass(eq=False, slots=True)
class Cursor:
    """A place that fetching goes on from. A new one is made at every seek: a batch of an older one is void."""

    position: int


@dataclass(eq=False, slots=True)
class Lease:
    """One claimed partition: its epoch, what is applied (`next`) and what has been taken in (`tail`)."""

    partition: int
    state: State = State.CLAIMING
    epoch: int = 0
    next: int = 0
    tail: int = 0
    cursor: Cursor | None = None
    out_of_range: bool = False  # the broker has refused the last position that was asked for
    due: float = 0.0  # not to be claimed before this time of the monotonic clock
    why: str = ""

    @property
    def ready(self) -> bool:
        return self.state is State.READY


@dataclass(slots=True)
class LogBatch:
    """Records of one partition as one fetch returned them: everything that the log has in [start, end).

    `records` are aiokafka ConsumerRecords; offsets between `start` and `end` without a record (transaction markers,
    compaction) are gaps.
    """

    partition: int
    cursor: Cursor
    start: int
    end: int
    records: list[Any] = field(default_factory=list)
