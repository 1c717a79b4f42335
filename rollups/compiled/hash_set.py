"""A set of 64-bit hashes that takes 10 to 17 bytes per hash."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from rollups.compiled.jit import MASK, READ_U8, U8, compiled, inlined

Keys = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_FREE = np.uint64(0)  # so no key may be 0
_FEWEST_SLOTS = 64
_LOAD = 0.7  # when sized for an expected number of hashes
_FULL = 0.8  # at which the set grows


class HashSet:
    """A growing set of 64-bit hashes other than 0: linear probing over a numpy array."""

    def __init__(self, expected: int = 0) -> None:
        self._slots: Keys = np.zeros(max(_FEWEST_SLOTS, int(expected / _LOAD)), np.uint64)
        self._size = 0

    @classmethod
    def from_hashes(cls, hashes: Keys) -> HashSet:
        """A set of these hashes, in which duplicates are allowed."""
        made = cls(len(hashes))
        made.add(hashes, len(hashes))
        return made

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes

    def contains(self, hashes: Keys) -> Mask:
        found = np.empty(len(hashes), bool)
        _find(self._slots, hashes, found)
        return found

    def add(self, hashes: Keys, room: int) -> tuple[Mask, Mask]:
        """Adds the first `room` hashes that are not in the set yet.

        Returns two masks over the hashes: already in the set, or earlier in the array; and in the set now.
        """
        most = self._size + min(len(hashes), room)
        if most > _FULL * len(self._slots):
            held = self._slots[self._slots != _FREE]
            self._slots = np.zeros(int(most * 1.5 / _LOAD), np.uint64)
            self._put(held, len(held))
        already, now, added = self._put(hashes, room)
        self._size += added
        return already, now

    def _put(self, hashes: Keys, room: int) -> tuple[Mask, Mask, int]:
        already, now = np.empty(len(hashes), bool), np.empty(len(hashes), bool)
        added = _add(self._slots, hashes, room, already, now)
        return already, now, added


@inlined
def _slot(slots: Keys, key: np.uint64) -> np.int64:
    """The slot of the hash, or the free slot for it. The probe starts where the lower half of the hash points."""
    slot = np.int64((key & np.uint64(0xFFFFFFFF)) * np.uint64(len(slots)) >> np.uint64(32))
    while slots[slot] != key and slots[slot] != _FREE:
        slot = slot + np.int64(1) if slot + 1 < len(slots) else np.int64(0)
    return slot


@compiled(types.void(READ_U8, READ_U8, MASK))
def _find(slots: Keys, keys: Keys, found: Mask) -> None:
    for row in range(len(keys)):
        found[row] = slots[_slot(slots, keys[row])] != _FREE


@compiled(types.i8(U8, READ_U8, types.i8, MASK, MASK))
def _add(slots: Keys, keys: Keys, room: int, already: Mask, now: Mask) -> int:
    added = 0
    for row in range(len(keys)):
        slot = _slot(slots, keys[row])
        already[row] = slots[slot] != _FREE
        now[row] = already[row] or added < room
        if now[row] and not already[row]:
            slots[slot] = keys[row]
            added += 1
    return added
