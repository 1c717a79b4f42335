"""The main path of a worker: take in, decode, admit, identify, deduplicate, insert; all that is pending at once.

While one insert is under way batches gather, so inserts grow with the load and stay small without it. A failure of
any kind leads to new claims, never to a blind retry.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pyarrow as pa

from ingest.settings import Settings
from rollups.admit import admit
from rollups.claims import Claims
from rollups.columns import Columns
from rollups.decode import DeadLetter, Decoded, Reason, Row, decode
from rollups.identity import Identify
from rollups.insert import Outcome, insert_batch
from rollups.lease import Lease, LogBatch
from rollups.memory import OutOfStep, PartitionMemory, SeenKeys
from rollups.poison import PoisonGuard
from rollups.seen import Seen
from rollups.store import Store, StoreError

log = logging.getLogger(__name__)

_MOST_BYTES = 64 * 1024 * 1024
_FIRST_BACKOFF = 0.05  # seconds
_LAST_BACKOFF = 5.0


@dataclass(slots=True, eq=False)
class Portion:
    """What one insert takes of one partition."""

    lease: Lease
    batch: LogBatch
    decoded: Decoded = field(default_factory=Decoded)
    seen: list[SeenKeys] = field(default_factory=list)

    def offsets(self) -> tuple[list[int], list[int]]:
        """(those of its records, those with dead letters)"""
        return [record.offset for record in self.batch.records], [letter.offset for letter in self.decoded.dead]


@dataclass(slots=True)
class Tally:
    """Counts since the start of the process."""

    events: Counter[str] = field(default_factory=Counter)
    inserts: Counter[str] = field(default_factory=Counter)
    unverified: int = 0
    claims: int = 0


class Pipeline:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        source: int,
        columns: Columns,
        seen: Seen,
        bury: Callable[[int, list[DeadLetter]], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._store = store
        self._source = source
        self._columns = columns
        self._identify = Identify(settings.visitor_secret)
        self._seen = seen
        self._bury = bury
        self._guards: dict[int, PoisonGuard] = {}
        self._memory: dict[int, PartitionMemory] = {}
        self._pending: dict[int, Portion] = {}
        self._pending_records = self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._backoff = _FIRST_BACKOFF
        self.tally = Tally()
        self.claims: Claims

    # -- intake ---------------------------------------------------------------------------------------------

    async def put(self, batch: LogBatch) -> None:
        """Takes a fetched batch in, waiting while as much as one insert holds is pending already."""
        while self._pending_records >= self._settings.batch_max_events or self._pending_bytes >= _MOST_BYTES:
            self._room.clear()
            await self._room.wait()
        lease = self.claims.leases.get(batch.partition)
        if lease is None or not lease.ready or batch.cursor is not lease.cursor:
            return  # fetched for a claim or a position that is over; its records come again
        if batch.start != lease.tail:
            log.info(
                "partition %d: a batch went missing on its way, fetching again from %d",
                batch.partition,
                lease.tail,
            )
            await self.claims.reseek(lease)
            return
        lease.tail = batch.end
        portion = self._pending.get(batch.partition)
        if portion is not None and portion.lease is lease:
            portion.batch.records.extend(batch.records)
            portion.batch.end = batch.end
        else:
            self._pending[batch.partition] = Portion(lease, batch)
        self._pending_records += len(batch.records)
        self._pending_bytes += sum(len(record.value or b"") for record in batch.records)
        self._arrived.set()

    def recall(self, lease: Lease) -> None:
        """Sees that the memory of the partition is that of all records before `lease.next`. Blocks."""
        memory = self._memory.get(lease.partition)
        if memory is None or memory.next != lease.next:
            memory = PartitionMemory(self._settings, lease.next)
            self._seen.load(lease.partition, memory)
            self._memory[lease.partition] = memory

    def claimed(self, lease: Lease) -> None:
        """What was pending of the partition is void."""
        self._pending.pop(lease.partition, None)
        self._memory = {p: memory for p, memory in self._memory.items() if p in self.claims.leases}
        self.tally.claims += 1

    def remembered(self) -> tuple[int, int]:
        """(keys, bytes) in memory to tell duplicates and repeats."""
        kinds = [kind for memory in list(self._memory.values()) for kind in memory.kinds.values()]
        return sum(map(len, kinds)), sum(kind.nbytes for kind in kinds)

    @property
    def idle(self) -> bool:
        """Nothing is pending and nothing under way."""
        return not self._pending and all(lease.next == lease.tail for lease in self.claims.leases.values())

    # -- the path -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        linger = self._settings.batch_linger_ms / 1000
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            portions = [portion for portion in self._pending.values() if self.claims.holds(portion.lease)]
            self._pending, self._pending_records, self._pending_bytes = {}, 0, 0
            self._room.set()
            if portions:
                started = time.monotonic()
                await self._apply(portions)
                await asyncio.sleep(linger - (time.monotonic() - started))

    async def _apply(self, portions: list[Portion]) -> None:
        try:
            tables = await asyncio.to_thread(self._prepare, portions)
            tables = {portion: table for portion, table in tables.items() if not self._is_poisoned(portion)}
            portions = list(tables)
            if not portions:
                return
            for portion in portions:
                await self._bury(portion.lease.partition, portion.decoded.dead)
            seen = [(portion.lease.partition, portion.batch.end, portion.seen) for portion in portions]
            await asyncio.to_thread(self._seen.write, seen)
            partitions = [portion.lease.partition for portion in portions]
            table = pa.concat_tables(tables.values())
            outcome, why = await asyncio.to_thread(insert_batch, self._store, self._source, partitions, table)
        except Exception as error:
            outcome, why = Outcome.UNKNOWN, f"{type(error).__name__}: {error}"
            log.error("a batch was not applied: %s", error, exc_info=not isinstance(error, StoreError | OutOfStep))
        self.tally.inserts[outcome.value] += 1
        if outcome is Outcome.APPLIED:
            self._backoff = _FIRST_BACKOFF
            for portion in portions:
                self._applied(portion)
            return
        # Fenced: the group may have given the partition to another; the next heartbeat would tell.
        pause = self._settings.heartbeat_seconds if outcome is Outcome.FENCED else 0.0
        self.claims.reclaim(
            [portion.lease for portion in portions], f"insert {outcome.value}: {why[:300]}", after=pause
        )
        await asyncio.sleep(self._backoff)
        self._backoff = min(self._backoff * 2, _LAST_BACKOFF)

    def _is_poisoned(self, portion: Portion) -> bool:
        guard = self._guards.setdefault(portion.lease.partition, PoisonGuard(self._settings.poison_share))
        if why := guard.objection(*portion.offsets()):
            self.claims.halt(portion.lease, why)
        return bool(why)

    def _prepare(self, portions: list[Portion]) -> dict[Portion, pa.Table]:
        """Decode → admit → identify → mark → columns. No garbage collection meanwhile: it would walk every event."""
        gc.freeze()
        try:
            return {portion: self._prepare_one(portion) for portion in portions}
        finally:
            gc.unfreeze()

    def _prepare_one(self, portion: Portion) -> pa.Table:
        lease, batch = portion.lease, portion.batch
        portion.decoded = decode(batch)
        admit(portion.decoded, time.time_ns() // 1_000_000, self._settings.future_tolerance_minutes * 60_000)
        who = self._identify.rows(portion.decoded.rows)
        portion.seen = self._memory[lease.partition].mark(portion.decoded.rows, who, batch)
        return self._columns.of(portion.decoded.rows, who, lease, self._source, expect=batch.start)

    def _applied(self, portion: Portion) -> None:
        portion.lease.next = portion.batch.end
        self._guards[portion.lease.partition].note(*portion.offsets())
        for row in portion.decoded.rows:
            self.tally.events[row.reason.name.lower()] += 1
            self.tally.unverified += row.reason is Reason.COUNTED and not row.verified

    def skip_to(self, lease: Lease, offset: int) -> None:
        """Accounts for offsets before `offset`, which the log no longer has, as one gap. Blocks."""
        rows = [Row(offset - 1, 0, offset - lease.next, None, Reason.GAP)]
        table = self._columns.of(rows, self._identify.rows(rows), lease, self._source, expect=lease.next)
        outcome, why = insert_batch(self._store, self._source, [lease.partition], table)
        if outcome is not Outcome.APPLIED:
            raise RuntimeError(f"the gap before offset {offset} was not written: {why}")
