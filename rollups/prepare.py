"""From fetched records to what one insert needs: decode, admit, identify, mark, columns."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.settings import Settings
from rollups.admit import admit
from rollups.columns import Columns
from rollups.decode import DeadLetter, Reason, decode
from rollups.identity import Identify
from rollups.lease import Cursor, Lease, LogBatch
from rollups.memory import PartitionMemory, SeenKeys
from rollups.seen import Seen


@dataclass(slots=True, eq=False)
class Portion:
    """What one insert takes of one partition."""

    lease: Lease
    end: int
    offsets: Sequence[int]  # of its records
    dead: list[DeadLetter]
    seen: list[SeenKeys]
    table: pa.Table
    events: dict[str, int]  # clicks by reason
    unverified: int


class Prepare:
    """Keeps the memory of each partition in step with what it has prepared."""

    def __init__(self, settings: Settings, source: int, columns: Columns, seen: Seen) -> None:
        self._settings = settings
        self._source = source
        self._columns = columns
        self._identify = Identify(settings.visitor_secret)
        self._seen = seen
        self._memory: dict[int, PartitionMemory] = {}

    def recall(self, lease: Lease) -> None:
        """Sees that the memory of the partition is that of all records before `lease.next`. Blocks."""
        memory = self._memory.get(lease.partition)
        if memory is None or memory.next != lease.next:
            memory = PartitionMemory(self._settings, lease.next)
            self._seen.load(lease.partition, memory)
            self._memory[lease.partition] = memory

    def forget_all_but(self, partitions: Iterable[int]) -> None:
        kept = set(partitions)
        self._memory = {partition: memory for partition, memory in self._memory.items() if partition in kept}

    def remembered(self) -> tuple[int, int]:
        """(keys, bytes) in memory to tell duplicates and repeats."""
        kinds = [kind for memory in list(self._memory.values()) for kind in memory.kinds.values()]
        return sum(map(len, kinds)), sum(kind.nbytes for kind in kinds)

    def portions(self, batches: Iterable[tuple[Lease, LogBatch]]) -> list[Portion]:
        """Of those partitions that are still remembered. No garbage is collected: that would walk every event."""
        memories = self._memory  # replaced as a whole where partitions go
        gc.disable()
        try:
            held = [(lease, batch) for lease, batch in batches if lease.partition in memories]
            return [self._portion(lease, batch, memories[lease.partition]) for lease, batch in held]
        finally:
            gc.enable()

    def gap(self, lease: Lease, offset: int) -> pa.Table:
        """The landing row for offsets before `offset`, which the log no longer has."""
        rows = decode(LogBatch(lease.partition, Cursor(lease.next), lease.next, offset)).rows
        return self._columns.of(rows, self._identify.of(rows.fields), lease, self._source, expect=lease.next)

    def _portion(self, lease: Lease, batch: LogBatch, memory: PartitionMemory) -> Portion:
        decoded = decode(batch)
        rows = decoded.rows
        admit(decoded, batch, time.time_ns() // 1_000_000, self._settings.future_tolerance_minutes * 60_000)
        who = self._identify.of(rows.fields)
        seen = memory.mark(rows, who, batch)
        counts = np.bincount(rows.reasons, minlength=len(Reason)).tolist()
        return Portion(
            lease,
            batch.end,
            batch.records.offsets,
            decoded.dead,
            seen,
            self._columns.of(rows, who, lease, self._source, expect=batch.start),
            {reason.name.lower(): counts[reason] for reason in Reason if counts[reason]},
            int(np.count_nonzero(~rows.verified & (rows.reasons == Reason.COUNTED))),
        )
