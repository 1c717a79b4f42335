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

from rollups.compiled.hash_set import HashSet, Keys, Mask

Minutes = NDArray[np.int64]


@dataclass(slots=True)
class Taken:
    """What a memory says of keys in log order, and what it remembers of them from now on."""

    known: Mask  # an earlier offset had it
    kept: Mask  # it will be known later on; False where the memory is full
    fresh: list[tuple[int, Keys]] = field(default_factory=list)  # (generation, keys that it did not hold yet)


class KeyMemory:
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

    def take(self, taken_in: Minutes, settled: Minutes, keys: Keys) -> Taken:
        """Looks keys up in log order and remembers them.

        `taken_in` says when a key came and need not be right; it may only be remembered for longer by that. `settled`,
        which does not go back, says what is old enough to be forgotten.
        """
        nows = settled - settled % self._width
        generations = np.maximum(taken_in - taken_in % self._width, nows)
        taken = Taken(np.zeros(len(keys), bool), np.ones(len(keys), bool))
        start = 0
        while start < len(keys):
            effective = np.maximum(generations[start:], self._newest)
            other = (effective != effective[0]) | (nows[start:] != nows[start])
            end = start + int(other.argmax()) if other.any() else len(keys)
            self._take_one(int(effective[0]), int(nows[start]), keys[start:end], slice(start, end), taken)
            start = end
        return taken

    def _take_one(self, generation: int, now: int, keys: Keys, part: slice, taken: Taken) -> None:
        window = {g: table for g, table in self._tables.items() if g >= self._first(now)}
        current = window.pop(generation, None) or HashSet(self._expected())
        room = max(0, self._capacity - len(current) - sum(map(len, window.values())))
        known, kept = current.add(keys, room)
        fresh = keys[kept & ~known]
        for table in window.values():
            known |= table.contains(keys)
        taken.known[part], taken.kept[part] = known, kept
        if len(fresh):
            taken.fresh.append((generation, fresh))
            self._newest = generation
            self._tables = {**window, generation: current}

    def _expected(self) -> int:
        """Keys of a generation: as many as the last one has, so that its table need not grow with everybody waiting."""
        newest = self._tables.get(self._newest)
        return min(len(newest), self._capacity) if newest else 0

    def _first(self, generation: int) -> int:
        return generation - 2 * self._width

    def restore(self, remembered: dict[int, Keys], settled: int) -> None:
        """Starts from keys by generation, as `take` gave them out, at that minute of the log; keys may repeat."""
        first = self._first(settled - settled % self._width)
        self._newest = max(remembered, default=0)
        self._tables = {g: HashSet.of(keys) for g, keys in remembered.items() if g >= first}
