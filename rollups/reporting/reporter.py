"""What a session notes for others, and says of itself: how its partitions are, and marks of their logs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from rollups.clickhouse import ClickHouse
from rollups.delivery.claims import Claims
from rollups.reporting.lateness import Lateness
from rollups.reporting.marks import Marks
from rollups.reporting.partition_states import OK, Condition, PartitionStates
from rollups.transform.batch_transformer import PreparedBatch


class Reporter:
    """For one session. The audit, which is another process, reads what `report` writes."""

    def __init__(self, db: ClickHouse, source: int, claims: Claims) -> None:
        self._claims = claims
        self._states = PartitionStates(db, source)
        self._marks = Marks(db, source)
        self._lateness = Lateness()

    def about_to_apply(self, batches: Iterable[PreparedBatch]) -> None:
        for batch in batches:
            self._marks.take(batch.lease.partition, batch.fetched.records)

    def note_ends(self, ends: Mapping[int, int]) -> None:
        """Takes in where the logs of partitions end now."""
        leases = self._claims.leases
        self._lateness.note({p: (lease.next, ends[p]) for p, lease in leases.items() if p in ends})

    def troubled(self) -> dict[int, str]:
        """Why partitions are not counted, by partition: halted, failing, or late."""
        return self._lateness.late() | self._claims.troubled()

    def late_seconds(self) -> float:
        """How old the oldest record that is not applied is, at least."""
        return self._lateness.seconds()

    async def report(self) -> None:
        """Raises ClickHouseError."""
        leases, late = self._claims.leases, self._lateness.late()
        kinds = {"halted": self._claims.halted(), "failing": self._claims.failing(), "late": late}
        conditions = {partition: _condition(partition, kinds) for partition in leases}
        await asyncio.to_thread(self._states.write, conditions)
        applied = {partition: lease.next for partition, lease in leases.items() if lease.ready}
        await asyncio.to_thread(self._marks.write, applied)


def _condition(partition: int, kinds: Mapping[str, Mapping[int, str]]) -> Condition:
    for state, found in kinds.items():
        if partition in found:
            return state, found[partition]
    return OK
