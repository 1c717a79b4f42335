"""A partition's memory of 64-bit keys: which of them an earlier offset of the same partition already had.

Keys are remembered by the generation of the log they came in: stretches of half the horizon by the log's own append
time. A key is known if it came in the generation up to which the log has settled or in the two before, so for at least
the horizon and, where brokers set the times, at most one and a half times as long. Every decision is a function of the
log's records before it, however they were cut into batches: a replay repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ingest.errors import ClickmillError
from rollups.compiled.hash_set import HashSet, Keys, Mask
from rollups.kafka_log.timestamps import LogClock
from rollups.model import FetchedBatch, Reason
from rollups.settings import Settings
from rollups.transform.decode import Rows
from rollups.transform.identity import Identities

Minutes = NDArray[np.int64]

MS_PER_MINUTE = 60_000
_NOWHERE = -1


@dataclass(slots=True)
class DedupeResult:
    """What a memory says of keys in log order, and what it remembers of them from now on."""

    known: Mask  # an earlier offset had it
    kept: Mask  # it will be known later on; False where the memory is full
    fresh: list[tuple[int, Keys]] = field(default_factory=list)  # (generation, keys that it did not hold yet)


class DedupeWindow:
    """The keys of one partition, at most `capacity` of them; beyond that new ones are not remembered."""

    def __init__(self, horizon_minutes: int, capacity: int) -> None:
        self._width = -(-horizon_minutes // 2)
        self._capacity = capacity
        self._newest = 0  # a generation is named by its first minute
        self._tables: dict[int, HashSet] = {}

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for table in self._tables.values())

    def check_and_add(self, taken_in: Minutes, settled: Minutes, keys: Keys) -> DedupeResult:
        """Looks keys up in log order and remembers them.

        `taken_in` says when a key came and need not be right; it may only be remembered for longer by that. `settled`,
        which does not go back, says what is old enough to be forgotten.
        """
        nows = settled - settled % self._width
        generations = np.maximum(taken_in - taken_in % self._width, nows)
        result = DedupeResult(np.zeros(len(keys), bool), np.ones(len(keys), bool))
        start = 0
        while start < len(keys):
            effective = np.maximum(generations[start:], self._newest)
            other = (effective != effective[0]) | (nows[start:] != nows[start])
            end = start + int(other.argmax()) if other.any() else len(keys)
            self._check_and_add_one(int(effective[0]), int(nows[start]), keys[start:end], slice(start, end), result)
            start = end
        return result

    def _check_and_add_one(self, generation: int, now: int, keys: Keys, part: slice, result: DedupeResult) -> None:
        window = {g: table for g, table in self._tables.items() if g >= self._first(now)}
        current = window.pop(generation, None) or HashSet(self._expected())
        room = max(0, self._capacity - len(current) - sum(map(len, window.values())))
        known, kept = current.add(keys, room)
        fresh = keys[kept & ~known]
        for table in window.values():
            known |= table.contains(keys)
        result.known[part], result.kept[part] = known, kept
        if len(fresh):
            result.fresh.append((generation, fresh))
            self._newest = generation
            self._tables = {**window, generation: current}

    def _expected(self) -> int:
        """Keys of a generation: as many as the last one has, so that its table need not grow with everybody waiting."""
        newest = self._tables.get(self._newest)
        return min(len(newest), self._capacity) if newest else 0

    def _first(self, generation: int) -> int:
        return generation - 2 * self._width

    def restore(self, remembered: dict[int, Keys], settled: int) -> None:
        """Starts from the fresh keys of `check_and_add` by generation, at that minute of the log; keys may repeat."""
        first = self._first(settled - settled % self._width)
        self._newest = max(remembered, default=0)
        self._tables = {g: HashSet.from_hashes(keys) for g, keys in remembered.items() if g >= first}


class OutOfStep(ClickmillError):
    """A batch does not start where the memory ends: an earlier one was not applied. Claim the partition again."""


@dataclass(frozen=True, slots=True)
class SeenKeys:
    """Keys that a batch brings into the memory; `kind` is `id` or `repeat`."""

    kind: str
    generation: int
    keys: Keys


class DedupeState:
    """Event ids, and (user, link, slot) of counted clicks, of all records before `next`."""

    def __init__(self, settings: Settings, next_offset: int, settled_ms: int = 0) -> None:
        self._horizon = settings.dedupe_horizon_minutes
        self._repeat_seconds = settings.repeat_seconds
        self.next = next_offset
        self.clock = LogClock.at(settled_ms)
        self.kinds = {kind: DedupeWindow(self._horizon, settings.dedupe_max_keys) for kind in ("id", "repeat")}

    def mark_duplicates(
        self, rows: Rows, identities: Identities, batch: FetchedBatch, clock: LogClock
    ) -> list[SeenKeys]:
        """Gives duplicates and repeats their reason, and says which rows could not be verified.

        `clock` is the one after the batch.
        """
        if batch.start != self.next:
            raise OutOfStep(f"the memory of partition {batch.partition} ends at {self.next}, not at {batch.start}")
        self.next = _NOWHERE  # until all of it is taken in
        taken_in = np.maximum(rows.log_time_ms, rows.settled_ms)  # where the first is not known
        late = identities.clicked_ms // MS_PER_MINUTE < taken_in // MS_PER_MINUTE - self._horizon
        named = (identities.ids != 0) & (rows.reasons != Reason.FUTURE)
        rows.verified &= named & ~late & ~rows.columns.id_assigned
        seen = self._mark_known("id", Reason.DUPLICATE, rows, identities.ids, named)
        if self._repeat_seconds:
            known = (rows.reasons == Reason.COUNTED) & (identities.users != 0)
            keys = identities.repeat_keys(self._repeat_seconds)
            seen += self._mark_known("repeat", Reason.REPEAT, rows, keys, known)
        self.next, self.clock = batch.end, clock
        return seen

    def _mark_known(self, kind: str, reason: Reason, rows: Rows, keys: Keys, eligible: Mask) -> list[SeenKeys]:
        chosen = np.flatnonzero(eligible)
        taken_in, settled = rows.log_time_ms[chosen] // MS_PER_MINUTE, rows.settled_ms[chosen] // MS_PER_MINUTE
        result = self.kinds[kind].check_and_add(taken_in, settled, keys[chosen])
        rows.reasons[chosen[result.known]] = reason
        rows.verified[chosen[~result.kept]] = False
        return [SeenKeys(kind, generation, fresh) for generation, fresh in result.fresh]
