"""What a worker reports of its partitions: states, lateness, and marks of their logs.

The audit is another process and reads them from the database.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from rollups.clickhouse import ClickHouse
from rollups.delivery.leases import Leases
from rollups.kafka_log.marks import Marks
from rollups.model import LATE_SECONDS, FetchedBatch

Condition = tuple[str, str]  # (state as in `partition_states`, reason)

OK: Condition = ("ok", "")
_SAMPLES = 720
READ_BACK_SECONDS = 60.0
_MAX_REASON_LENGTH = 500  # characters


class Reporter:
    """The report of one session. `isolating` returns why records are being left out, by partition."""

    def __init__(
        self,
        db: ClickHouse,
        source: int,
        leases: Leases,
        isolating: Callable[[], Mapping[int, str]],
        lateness: Lateness | None = None,
    ) -> None:
        self._leases = leases
        self._isolating = isolating
        self._states = PartitionStates(db, source)
        self._marks = Marks(db, source)
        self._lateness = lateness or Lateness()

    def about_to_apply(self, batches: Iterable[FetchedBatch]) -> None:
        """Notes marks of these batches."""
        for batch in batches:
            self._marks.note(batch.partition, batch.records)

    def note_ends(self, ends: Mapping[int, int]) -> None:
        """Notes where the logs of partitions end now."""
        self._lateness.note({p: (lease.next, ends[p]) for p, lease in self._leases.held.items() if p in ends})

    def failing(self) -> dict[int, str]:
        """Why partitions fail again and again, by partition."""
        isolating = {p: reason for p, reason in self._isolating().items() if p in self._leases.held}
        return self._leases.failing() | isolating

    def troubled(self) -> dict[int, str]:
        """Why partitions are not counted, by partition: halted, failing, or late."""
        return self._lateness.late() | self._leases.halted() | self.failing()

    def late_seconds(self) -> float:
        """The least age of the oldest record that is not applied."""
        return self._lateness.seconds()

    async def report(self) -> None:
        """Writes the states of partitions and marks that are due. Raises ClickHouseError."""
        kinds = {"halted": self._leases.halted(), "failing": self.failing(), "late": self._lateness.late()}
        conditions = {partition: _condition(partition, kinds) for partition in self._leases.held}
        await asyncio.to_thread(self._states.write, conditions)
        await asyncio.to_thread(self._marks.write, self._leases.applied())


def _condition(partition: int, kinds: Mapping[str, Mapping[int, str]]) -> Condition:
    for state, found in kinds.items():
        if partition in found:
            return state, found[partition]
    return OK


class PartitionStates:
    """Writes states that have changed, and checks once a minute that the written ones are still there."""

    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self._source = source
        self._states: dict[int, str] = {}
        self._looked = -READ_BACK_SECONDS

    def write(self, conditions: Mapping[int, Condition]) -> None:
        """Writes the states of all partitions that the worker holds, where they have changed. Blocks."""
        states = {partition: state for partition, (state, _) in conditions.items()}
        if states == self._states and time.monotonic() - self._looked < READ_BACK_SECONDS:
            return
        known = self._known()
        now = datetime.now(UTC)
        rows = []
        for partition, (state, reason) in conditions.items():
            before, said, since, version = known.get(partition, (*OK, now, 0))
            if (state, reason[:_MAX_REASON_LENGTH]) != (before, said):
                began = since if state == before else now
                rows.append((self._source, partition, state, reason[:_MAX_REASON_LENGTH], began, version + 1))
        if rows:
            columns = ["source", "partition", "state", "why", "since", "version"]
            self._db.insert("partition_states", rows, columns)
        self._states, self._looked = states, time.monotonic()

    def _known(self) -> dict[int, tuple[str, str, datetime, int]]:
        """(state, reason, since, version) by partition. Versions are counters: no clock decides which is newest."""
        rows = self._db.query(
            "SELECT partition, toString(state), why, since, version FROM partition_states FINAL "
            "WHERE source = {source:UInt32}",
            {"source": self._source},
        )
        return {partition: (state, reason, since, version) for partition, state, reason, since, version in rows}


class Lateness:
    """Measures how late partitions are, from the times at which the ends of their logs were first seen.

    A worker that has just started knows no old records, so a partition is late after a minute at the earliest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.ends: dict[int, deque[tuple[float, int]]] = {}  # (time, end) of ends that are not reached yet

    def note(self, positions: Mapping[int, tuple[int, int]]) -> None:
        """Notes (next offset to apply, end of the log) of all partitions that are held."""
        self.ends = {partition: self.ends.get(partition, deque(maxlen=_SAMPLES)) for partition in positions}
        for partition, (applied, end) in positions.items():
            ends = self.ends[partition]
            while ends and ends[0][1] <= applied:
                ends.popleft()
            if end > applied and (not ends or end > ends[-1][1]):
                ends.append((self._clock(), end))

    def seconds(self) -> float:
        """The least age of the oldest record that is not applied."""
        return max((self._clock() - ends[0][0] for ends in self.ends.values() if ends), default=0.0)

    def late(self) -> dict[int, str]:
        """How far partitions are behind, for those more than a minute behind."""
        found = {}
        for partition, ends in self.ends.items():
            if ends and (age := self._clock() - ends[0][0]) > LATE_SECONDS:
                found[partition] = f"its oldest unapplied record has waited for at least {age:.0f} s"
        return found
