"""Turns fetched records into an insert: decode, classify, hash identities, mark duplicates, landing table."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rollups.kafka_log.broker_clock import wall_ms
from rollups.kafka_log.tail import tail_of
from rollups.model import DeadLetter, FetchedBatch, FetchPosition, Lease, LeasedBatch, Reason
from rollups.settings import Settings
from rollups.transform.click_columns import Ints
from rollups.transform.decode import dead_letters, decode
from rollups.transform.dedupe import DedupeState, SeenKeys
from rollups.transform.filters import classify
from rollups.transform.identity import IdentityHasher
from rollups.transform.isolation import Isolation
from rollups.transform.landing import to_landing_table
from rollups.transform.seen import Seen
from rollups.transform.timezones import TimeZones


@dataclass(slots=True, eq=False, kw_only=True)
class PreparedBatch:
    """The part of an insert that is of one partition."""

    lease: Lease
    fetched: FetchedBatch
    dead_letters: list[DeadLetter]
    seen: list[SeenKeys]
    table: pa.Table
    settled_ms: Ints  # per row of the table: up to when the log had come
    events: dict[str, int]  # clicks by reason
    unverified: int


@dataclass(slots=True)
class TransformResult:
    """Batches that can be inserted, that did not fit, and that failed."""

    prepared: list[PreparedBatch] = field(default_factory=list)
    remaining: list[LeasedBatch] = field(default_factory=list)
    failed: list[tuple[Lease, FetchedBatch, Exception]] = field(default_factory=list)


class BatchTransformer:
    """Transforms batches, and keeps the dedupe state of each partition in step with them."""

    def __init__(
        self,
        settings: Settings,
        source: int,
        zones: TimeZones,
        seen: Seen,
        identity_hasher: IdentityHasher,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.isolation = Isolation()
        self._settings = settings
        self._source = source
        self._zones = zones
        self._identity_hasher = identity_hasher
        self._seen = seen
        self._now_ms = now_ms
        self._dedupe_states: dict[int, DedupeState] = {}

    def load_dedupe_state(self, lease: Lease) -> None:
        """Brings the dedupe state of the partition to `lease.next`, from the database if needed. Blocks."""
        state = self._dedupe_states.get(lease.partition)
        if state is None or state.next != lease.next:
            state = DedupeState(self._settings, lease.next, min(lease.settled_ms, self._now_ms()))
            self._seen.load(lease.partition, state, self._now_ms())
            self._dedupe_states[lease.partition] = state

    def forget_all_but(self, partitions: Iterable[int]) -> None:
        kept = set(partitions)
        self._dedupe_states = {
            partition: state for partition, state in self._dedupe_states.items() if partition in kept
        }
        self.isolation.forget_all_but(kept)

    def remembered(self) -> tuple[int, int]:
        """(keys, bytes) in memory to detect duplicates and repeats."""
        kinds = [kind for state in list(self._dedupe_states.values()) for kind in state.kinds.values()]
        return sum(map(len, kinds)), sum(kind.nbytes for kind in kinds)

    def transform(self, batches: Iterable[LeasedBatch]) -> TransformResult:
        """Transforms as many clicks as one insert may hold, of partitions that have a dedupe state. A batch that fails
        does not hold up others. Blocks."""
        states = self._dedupe_states  # replaced as a whole when partitions are revoked
        result, room = TransformResult(), self._settings.batch_max_events
        with _without_garbage_collection():
            for lease, batch in batches:
                if lease.partition not in states:
                    continue
                if room <= 0:
                    result.remaining.append((lease, batch))
                    continue
                batch, rest = batch.cut(self.isolation.most(lease.partition) or len(batch.records))
                try:
                    prepared, excess = self._transform_batch(lease, batch, states[lease.partition], room)
                except Exception as error:
                    result.failed.append((lease, batch, error))
                    continue
                result.prepared.append(prepared)
                room -= len(prepared.table)
                left = excess.joined(rest) if excess else rest
                if left:
                    result.remaining.append((lease, left))
        return result

    def gap_table(self, lease: Lease, offset: int) -> pa.Table:
        """One landing row for the offsets from `lease.next` to before `offset`. Blocks."""
        decoded, _ = decode(FetchedBatch(lease.partition, FetchPosition(lease.next), lease.next, offset), 1, {})
        rows = decoded.rows
        identities = self._identity_hasher.hash_clicks(rows.columns)
        return to_landing_table(rows, identities, self._zones, lease=lease, source=self._source, expect=lease.next)

    def _transform_batch(
        self, lease: Lease, batch: FetchedBatch, state: DedupeState, room: int
    ) -> tuple[PreparedBatch, FetchedBatch | None]:
        """Transforms at most about `room` clicks of a batch; also the rest of it, if any."""
        now_ms = self._now_ms()
        decoded, rest = decode(batch, room, self.isolation.poison(lease.partition), state.clock, now_ms)
        classify(decoded, now_ms, self._settings.future_tolerance_minutes * 60_000)
        rows, batch, clock = decoded.rows, decoded.batch, decoded.times.after
        identities = self._identity_hasher.hash_clicks(rows.columns)
        seen = state.mark_duplicates(rows, identities, batch, clock)
        tail = tail_of(batch.records, clock.settled_ms)
        counts = np.bincount(rows.reasons, minlength=len(Reason)).tolist()
        prepared = PreparedBatch(
            lease=lease,
            fetched=batch,
            dead_letters=dead_letters(decoded),
            seen=seen,
            table=to_landing_table(
                rows, identities, self._zones, lease=lease, source=self._source, expect=batch.start, tail=tail
            ),
            settled_ms=rows.settled_ms,
            events={reason.name.lower(): counts[reason] for reason in Reason if counts[reason]},
            unverified=int(np.count_nonzero(~rows.verified & (rows.reasons == Reason.COUNTED))),
        )
        return prepared, rest


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A collection would visit every event. Restores the former state."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
