"""A partition's memory of 64-bit keys: which of them an earlier offset of the same partition already had.

Keys are remembered by the generation of the log they came in: stretches of half the horizon by the log's own append
time. A key is known if it came in this generation or in the two before, so for at least the horizon and at most one
and a half times as long. Every decision is a function of the log's records before it, however they were cut into
batches: a replay repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Minutes = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FREE = np.uint64(0)  # so no key may be 0
_FEWEST_SLOTS = 64
_LOAD = 0.7  # of a set that was made for so many hashes
_FULL = 0.8  # when it has to grow
_LOWER = np.uint64(2**32 - 1)


class HashSet:
    """A growing set of 64-bit hashes other than 0: linear probing over a numpy array, a batch at a time."""

    def __init__(self, expected: int = 0) -> None:
        self._slots: Keys = np.zeros(max(_FEWEST_SLOTS, int(expected / _LOAD)), np.uint64)
        self._size = 0

    @classmethod
    def of(cls, hashes: Keys) -> HashSet:
        """A set of these hashes, which may repeat."""
        made = cls(len(hashes))
        made._place(hashes)
        made._size = int(np.count_nonzero(made._slots))
        return made

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes

    def contains(self, hashes: Keys) -> Mask:
        found = np.zeros(len(hashes), bool)
        rows = np.arange(len(hashes))
        slots = self._first(hashes)
        while len(rows):
            held = self._slots[slots]
            hit = held == hashes[rows]
            found[rows[hit]] = True
            going_on = ~hit & (held != _FREE)
            rows, slots = rows[going_on], self._next(slots[going_on])
        return found

    def add(self, hashes: Keys) -> None:
        """Adds distinct hashes that are not in the set."""
        self._size += len(hashes)
        if self._size > _FULL * len(self._slots):
            held = self._slots[self._slots != _FREE]
            self._slots = np.zeros(int(self._size * 1.5 / _LOAD), np.uint64)
            self._place(held)
        self._place(hashes)

    def _place(self, hashes: Keys) -> None:
        slots = self._first(hashes)
        while len(hashes):
            free = self._slots[slots] == _FREE
            self._slots[slots[free]] = hashes[free]  # of several that want one slot the last one gets it
            left = self._slots[slots] != hashes
            hashes, slots = hashes[left], self._next(slots[left])

    def _first(self, hashes: Keys) -> Keys:
        """Where to look first: the lower half of the hash, scaled to the slots."""
        return (hashes & _LOWER) * np.uint64(len(self._slots)) >> np.uint64(32)

    def _next(self, slots: Keys) -> Keys:
        slots += np.uint64(1)
        slots[slots == len(self._slots)] = 0
        return slots


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

    def take(self, log_minutes: Minutes, keys: Keys) -> Taken:
        """Looks keys up in log order and remembers them."""
        generations = log_minutes - log_minutes % self._width
        taken = Taken(np.zeros(len(keys), bool), np.ones(len(keys), bool))
        start = 0
        while start < len(keys):
            effective = np.maximum(generations[start:], self._newest)
            generation, other = int(effective[0]), effective != effective[0]
            end = start + int(other.argmax()) if other.any() else len(keys)
            self._take_one(generation, keys[start:end], slice(start, end), taken)
            start = end
        return taken

    def _take_one(self, generation: int, keys: Keys, part: slice, taken: Taken) -> None:
        window = {g: table for g, table in self._tables.items() if g >= self._first(generation)}
        current = window.pop(generation, None) or HashSet(self._expected())
        held = current.contains(keys)
        known = held.copy()
        for table in window.values():
            known |= table.contains(keys)
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True
        fresh = np.flatnonzero(first & ~held)
        room = max(0, self._capacity - len(current) - sum(map(len, window.values())))
        if len(fresh) > room:
            lost = np.isin(keys, keys[fresh[room:]])
            fresh = fresh[:room]
            known |= ~first & ~lost
            taken.kept[part] = ~lost
        else:
            known |= ~first
        taken.known[part] = known
        if len(fresh):
            self._remember(generation, current, keys[fresh])
            taken.fresh.append((generation, keys[fresh]))

    def _remember(self, generation: int, table: HashSet, keys: Keys) -> None:
        table.add(keys)
        self._newest = generation
        self._tables = {g: t for g, t in self._tables.items() if g >= self._first(generation)} | {generation: table}

    def _expected(self) -> int:
        """Keys of a generation: as many as the last one has, so that its table need not grow with everybody waiting."""
        newest = self._tables.get(self._newest)
        return min(len(newest), self._capacity) if newest else 0

    def _first(self, generation: int) -> int:
        return generation - 2 * self._width

    def restore(self, remembered: dict[int, Keys]) -> None:
        """Starts from keys by generation, as `take` gave them out; keys may repeat."""
        self._newest = max(remembered, default=0)
        self._tables = {g: HashSet.of(keys) for g, keys in remembered.items() if g >= self._first(self._newest)}
