"""The dedupe window of a partition: which 64-bit keys an earlier offset of the partition already had.

Keys are kept by generation: half a horizon of the log's own time. A key is known if it came in the generation up to
which the log has settled, or in the two before: for at least a horizon and, if brokers set the times, at most one and a
half. Each decision depends only on earlier records of the log, not on their batches, so a replay repeats it.
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
    """The result for keys in log order."""

    known: Mask  # an earlier offset had it
    kept: Mask  # it will be known later; False if the window is full
    fresh: list[tuple[int, Keys]] = field(default_factory=list)  # (generation, keys that are new in it)


class DedupeWindow:
    """The keys of one partition. Beyond `capacity` new keys are not kept."""

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
        """Looks up keys in log order and adds them.

        `taken_in` are the times of the keys and may be wrong, which can only keep a key longer. `settled`, which does
        not go back, decides which keys are forgotten.
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
        """The expected size of a generation, that of the last one, so that its table need not grow."""
        newest = self._tables.get(self._newest)
        return min(len(newest), self._capacity) if newest else 0

    def _first(self, generation: int) -> int:
        return generation - 2 * self._width

    def restore(self, remembered: dict[int, Keys], settled: int) -> None:
        """Starts from fresh keys of `check_and_add`, by generation, at a settled minute; keys may repeat."""
        first = self._first(settled - settled % self._width)
        self._newest = max(remembered, default=0)
        self._tables = {g: HashSet.from_hashes(keys) for g, keys in remembered.items() if g >= first}


class OutOfStep(ClickmillError):
    """A batch does not start where the dedupe state ends: an earlier one was not applied. Reclaim the partition."""


@dataclass(frozen=True, slots=True)
class SeenKeys:
    """Keys that a batch adds to a window; `kind` is `id` or `repeat`."""

    kind: str
    generation: int
    keys: Keys


class DedupeState:
    """The windows of one partition: event ids, and (user, target, slot) of counted clicks, of records before `next`."""

    def __init__(self, settings: Settings, next_offset: int, settled_ms: int = 0) -> None:
        self._horizon = settings.dedupe_horizon_minutes
        self._repeat_seconds = settings.repeat_seconds
        self.next = next_offset
        self.clock = LogClock.at(settled_ms)
        self.kinds = {kind: DedupeWindow(self._horizon, settings.dedupe_max_keys) for kind in ("id", "repeat")}

    def mark_duplicates(
        self, rows: Rows, identities: Identities, batch: FetchedBatch, clock: LogClock
    ) -> list[SeenKeys]:
        """Gives duplicates and repeats their reason, and marks rows as unverified. Returns the new keys.

        `clock` is the one after the batch. Raises OutOfStep.
        """
        if batch.start != self.next:
            raise OutOfStep(
                f"the dedupe state of partition {batch.partition} ends at {self.next}, not at {batch.start}"
            )
        self.next = _NOWHERE  # until the whole batch is added
        taken_in = np.maximum(rows.log_time_ms, rows.settled_ms)  # if the first is unknown
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
