"""The main path of a worker: take batches in, transform them, insert all that is pending at once.

During an insert the next one is prepared and batches gather, so inserts grow with the load. Any failure leads to new
claims, never to a blind retry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pyarrow as pa

from ingest.errors import Unavailable
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.batch_insert import Outcome, insert_batch
from rollups.delivery.circuit_breaker import CircuitBreaker, release_faults
from rollups.delivery.leases import Leases
from rollups.delivery.sources import SourceReplaced
from rollups.model import DeadLetter, FetchedBatch, FetchPosition, Lease, LeasedBatch
from rollups.settings import Settings
from rollups.transform.batch_transformer import BatchTransformer, PreparedBatch
from rollups.transform.dedupe import OutOfStep
from rollups.transform.seen import Seen

log = logging.getLogger(__name__)

_MAX_PENDING_BYTES = 64 * 1024 * 1024
_ISOLATING_PAUSE = 0.05  # seconds before a smaller batch is tried
_PUBLISH_SECONDS = 5.0  # for the dead letters of a batch; on a timeout the batch is read again

Confirm = Callable[[list[PreparedBatch]], Awaitable[None]]
PublishDeadLetters = Callable[[int, list[DeadLetter]], Awaitable[None]]


@dataclass(slots=True)
class WorkerStats:
    """Counts since the start of the process."""

    events: Counter[str] = field(default_factory=Counter)
    inserts: Counter[str] = field(default_factory=Counter)
    unverified: int = 0
    claims: int = 0


class Intake:
    """Fetched batches that wait for the next insert, by partition."""

    def __init__(self, settings: Settings, leases: Leases) -> None:
        self._settings = settings
        self._leases = leases
        self._pending: dict[int, LeasedBatch] = {}
        self._records = self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, batch: FetchedBatch) -> FetchPosition | None:
        """Takes a fetched batch in; waits while a full insert is pending already.

        Returns where to seek if a batch before this one is missing, else None. Drops a batch of an earlier claim or
        position: its records are fetched again.
        """
        while self._records >= self._settings.batch_max_events or self._bytes >= _MAX_PENDING_BYTES:
            self._room.clear()
            await self._room.wait()
        lease = self._leases.held.get(batch.partition)
        if lease is None or not lease.ready or batch.position is not lease.position:
            return None
        if batch.start != lease.next_intake:
            log.info(
                "partition %d: a batch went missing on its way, fetching again from %d",
                batch.partition,
                lease.next_intake,
            )
            lease.position = FetchPosition(lease.next_intake)
            return lease.position
        lease.next_intake = batch.end
        holder, pending = self._pending.get(batch.partition, (None, batch))
        if holder is lease:
            pending.records.extend(batch.records)
            pending.end = batch.end
        else:
            self._pending[batch.partition] = lease, batch
        self._records += len(batch.records)
        self._bytes += batch.records.nbytes
        self._arrived.set()
        return None

    async def take_pending(self) -> list[LeasedBatch]:
        """Waits for batches; returns all pending ones whose lease still holds, possibly none."""
        await self._arrived.wait()
        self._arrived.clear()
        taken = [pair for pair in self._pending.values() if self._leases.holds(pair[0])]
        self._pending, self._records, self._bytes = {}, 0, 0
        self._room.set()
        return taken

    def put_back(self, remaining: list[LeasedBatch]) -> None:
        """Puts batches that did not fit before newer ones of their partition, and behind other partitions."""
        for lease, batch in remaining:
            if not self._leases.holds(lease):
                continue  # what is pending now is of a newer claim, which has fetched these records again
            self._records += len(batch.records)
            self._bytes += batch.records.nbytes
            holder, newer = self._pending.pop(batch.partition, (None, None))
            self._pending[batch.partition] = lease, batch.joined(newer if holder is lease else None)
        if remaining:
            self._arrived.set()

    def drop(self, partition: int) -> None:
        """Forgets what is pending of the partition."""
        self._pending.pop(partition, None)


class Pipeline:
    """Transforms and inserts what the intake holds.

    `confirm` runs before each insert and raises if it must not happen. `publish_dead_letters` returns once the letters
    of a partition are acknowledged.
    """

    def __init__(
        self,
        settings: Settings,
        db: ClickHouse,
        source: int,
        *,
        leases: Leases,
        intake: Intake,
        transformer: BatchTransformer,
        seen: Seen,
        stats: WorkerStats,
        confirm: Confirm,
        publish_dead_letters: PublishDeadLetters,
    ) -> None:
        self._settings = settings
        self._db = db
        self._source = source
        self._leases = leases
        self._intake = intake
        self._transformer = transformer
        self._seen = seen
        self._confirm = confirm
        self._publish_dead_letters = publish_dead_letters
        self._breakers: dict[int, CircuitBreaker] = {}
        self.stats = stats

    # -- for claims -----------------------------------------------------------------------------------------

    def load_dedupe_state(self, lease: Lease) -> None:
        """Brings the dedupe state of the partition to `lease.next`. Blocks."""
        self._transformer.load_dedupe_state(lease)

    def claimed(self, lease: Lease) -> None:
        """Drops what was pending of the partition."""
        self._intake.drop(lease.partition)
        self._transformer.forget_all_but(self._leases.held)
        self.stats.claims += 1

    def skip_to(self, lease: Lease, offset: int) -> None:
        """Counts offsets before `offset`, which the log no longer has, as one gap. Raises Unavailable. Blocks."""
        table = self._transformer.gap_table(lease, offset)
        outcome, message = insert_batch(self._db, self._source, [lease.partition], table)
        if outcome is not Outcome.APPLIED:
            raise Unavailable(f"the gap before offset {offset} was not written: {message}")

    # -- the path -------------------------------------------------------------------------------------------

    async def run_pipeline(self) -> None:
        """Transforms and inserts until cancelled."""
        linger = self._settings.batch_linger_ms / 1000
        inserting: asyncio.Task[None] | None = None
        try:
            while True:
                taken = await self._intake.take_pending()
                if not taken:
                    continue
                started = time.monotonic()
                result = await asyncio.to_thread(self._transformer.transform, taken)
                self._intake.put_back(result.remaining)
                if inserting:
                    await inserting
                for lease, batch, error in result.failed:
                    self._start_over([(lease, batch)], *_outcome_of(error))
                inserting = asyncio.create_task(self.apply(result.prepared))
                await asyncio.sleep(linger - (time.monotonic() - started))
        finally:
            if inserting:
                inserting.cancel()

    async def apply(self, batches: list[PreparedBatch]) -> None:
        """Inserts batches whose lease still holds: one that was prepared during a failed insert is void."""
        batches = [batch for batch in batches if self._leases.holds(batch.lease) and not self._halt_if_poisoned(batch)]
        published = await asyncio.gather(*map(self._try_publish, batches))
        batches = [batch for batch, done in zip(batches, published, strict=True) if done]
        suspected = [batch for batch in batches if self._is_suspected(batch.lease)]
        sound = [batch for batch in batches if batch not in suspected]
        for together in [sound, *([batch] for batch in suspected)]:
            if together:
                await self._insert(together)

    def _halt_if_poisoned(self, batch: PreparedBatch) -> bool:
        """Halts the partition if too many of its records are poison; whether it did."""
        breaker = self._breakers.setdefault(batch.lease.partition, CircuitBreaker(self._settings.poison_share))
        if reason := breaker.trip_reason(batch.fetched.records.offsets, release_faults(batch.dead_letters)):
            self._leases.halt(batch.lease, reason)
        return bool(reason)

    def _is_suspected(self, lease: Lease) -> bool:
        return lease.failures > 0 or self._transformer.isolation.suspected(lease.partition)

    async def _try_publish(self, batch: PreparedBatch) -> bool:
        """Publishes the dead letters of a batch, or starts over; whether they were acknowledged in time."""
        if not batch.dead_letters:
            return True
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await self._publish_dead_letters(batch.lease.partition, batch.dead_letters)
        except Exception as error:
            self._start_over([(batch.lease, batch.fetched)], *_outcome_of(error))
            return False
        return True

    async def _insert(self, batches: list[PreparedBatch]) -> None:
        leased = [(batch.lease, batch.fetched) for batch in batches]
        try:
            await self._confirm(batches)
        except Exception as error:  # the cause is the topic or the database, not the batch
            self._start_over(leased, Outcome.UNKNOWN, _outcome_of(error)[1])
            return
        try:
            seen = [(batch.lease.partition, batch.fetched.end, batch.seen) for batch in batches]
            await asyncio.to_thread(self._seen.write, seen)
            partitions = [batch.lease.partition for batch in batches]
            table = pa.concat_tables([batch.table for batch in batches])
            outcome, message = await asyncio.to_thread(insert_batch, self._db, self._source, partitions, table)
        except Exception as error:
            outcome, message = _outcome_of(error)
        if outcome is not Outcome.APPLIED:
            self._start_over(leased, outcome, message)
            return
        self.stats.inserts[outcome.value] += 1
        for batch in batches:
            self._applied(batch)

    def _start_over(self, leased: list[LeasedBatch], outcome: Outcome, message: str) -> None:
        """Reclaims what was not applied. A refused batch is split, so that only its poison is left out."""
        self.stats.inserts[outcome.value] += 1
        for lease, batch in leased:
            after = None
            if outcome is Outcome.FENCED:  # perhaps reassigned; the next heartbeat would tell
                after = self._settings.heartbeat_seconds
            elif outcome is Outcome.REFUSED and self._transformer.isolation.failed(
                batch.partition, batch.start, batch.end, batch.records.offsets, message
            ):
                after = _ISOLATING_PAUSE
            self._leases.fail(lease, f"insert {outcome.value}: {message[:300]}", after=after)

    def _applied(self, batch: PreparedBatch) -> None:
        lease, fetched = batch.lease, batch.fetched
        lease.next, lease.failures = fetched.end, 0
        self._transformer.isolation.applied(lease.partition, fetched.end)
        self._breakers[lease.partition].record(fetched.records.offsets, release_faults(batch.dead_letters))
        self.stats.events.update(batch.events)
        self.stats.unverified += batch.unverified


def _outcome_of(error: Exception) -> tuple[Outcome, str]:
    """The outcome that an exception before or during an insert means. Logs it, since it may be a bug."""
    if isinstance(error, OutOfStep):
        return Outcome.STALE, str(error)
    expected = isinstance(error, ClickHouseError | OSError | SourceReplaced | MemoryError)
    log.error("a batch was not applied: %s", error, exc_info=None if expected else error)
    refused = error.refuses_content if isinstance(error, ClickHouseError) else not expected
    return Outcome.REFUSED if refused else Outcome.UNKNOWN, f"{type(error).__name__}: {error}"
