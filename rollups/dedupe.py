"""Duplicates: records whose event id an earlier offset of the same partition already had.

One partition's memory is a set of 64-bit id hashes for each minute of click time, in open-addressing tables, so that
an id is looked for in exactly one table. A retry repeats the payload, so it repeats the minute. A minute is forgotten
when nothing was added to it for the horizon, measured by the log's own append times: the decisions depend on the log
alone, and a replay repeats them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Minutes = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FREE = np.uint64(0)  # a hash of 0 is stored as 1
_FIRST_SLOTS = 64
_LOAD = 0.6


class HashSet:
    """A growing set of 64-bit hashes: linear probing over a numpy array, a batch at a time."""

    def __init__(self) -> None:
        self._slots: Hashes = np.zeros(_FIRST_SLOTS, np.uint64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes

    def contains(self, hashes: Hashes) -> Mask:
        found = np.zeros(len(hashes), bool)
        mask = np.uint64(len(self._slots) - 1)
        rows = np.arange(len(hashes))
        slots = hashes & mask
        while len(rows):
            held = self._slots[slots]
            hit = held == hashes[rows]
            found[rows[hit]] = True
            going_on = ~hit & (held != _FREE)
            rows, slots = rows[going_on], (slots[going_on] + np.uint64(1)) & mask
        return found

    def add(self, hashes: Hashes) -> None:
        """Adds distinct hashes that are not in the set."""
        while (self._size + len(hashes)) > _LOAD * len(self._slots):
            held = self._slots[self._slots != _FREE]
            self._slots = np.zeros(len(self._slots) * 2, np.uint64)
            self._place(held)
        self._place(hashes)
        self._size += len(hashes)

    def _place(self, hashes: Hashes) -> None:
        mask = np.uint64(len(self._slots) - 1)
        slots = hashes & mask
        while len(hashes):
            free = self._slots[slots] == _FREE
            self._slots[slots[free]] = hashes[free]  # of several that want one slot the last one gets it
            left = self._slots[slots] != hashes
            hashes, slots = hashes[left], (slots[left] + np.uint64(1)) & mask


class SeenIds:
    """What one partition has seen. `duplicates` looks, `add` remembers: call it once the batch is applied."""

    def __init__(self, horizon_minutes: int) -> None:
        self._horizon = horizon_minutes
        self._minutes: dict[int, HashSet] = {}
        self._last_added: dict[int, int] = {}
        self._log_minute = 0

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for table in self._minutes.values())

    def duplicates(self, minutes: Minutes, hashes: Hashes) -> Mask:
        """Which ids, in log order, were seen in earlier batches or earlier in this one."""
        keys = np.where(hashes == _FREE, np.uint64(1), hashes)
        repeated = np.ones(len(keys), bool)
        for minute, rows in _by_minute(minutes):
            repeated[rows[np.unique(keys[rows], return_index=True)[1]]] = False
            if table := self._minutes.get(minute):
                repeated[rows] |= table.contains(keys[rows])
        return repeated

    def add(self, minutes: Minutes, hashes: Hashes, log_minute: int) -> None:
        """Remembers ids that `duplicates` found to be new, in a log that has come to `log_minute`."""
        keys = np.where(hashes == _FREE, np.uint64(1), hashes)
        self._log_minute = max(self._log_minute, log_minute)
        for minute, rows in _by_minute(minutes):
            self._minutes.setdefault(minute, HashSet()).add(keys[rows])
            self._last_added[minute] = self._log_minute
        self._forget()

    def _forget(self) -> None:
        old = [minute for minute, last in self._last_added.items() if last < self._log_minute - self._horizon]
        for minute in old:
            del self._minutes[minute], self._last_added[minute]


def _by_minute(minutes: Minutes) -> list[tuple[int, NDArray[np.intp]]]:
    """(minute, its rows in log order) of a batch."""
    if not len(minutes):
        return []
    order = np.argsort(minutes, kind="stable")
    distinct, starts = np.unique(minutes[order], return_index=True)
    return list(zip(distinct.tolist(), np.split(order, starts[1:]), strict=True))
