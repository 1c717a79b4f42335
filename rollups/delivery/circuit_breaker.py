"""Stops a partition if too many of its records would become dead letters, as after a bad release of a producer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from ingest.event import Fault
from rollups.model import DeadLetter

_WINDOW = 10_000  # records
_SLICE = 1_000
_MIN_RECORDS = 1_000  # records; fewer are no basis for a share
# Faults that any visitor can cause: no reason to stop counting the others. A defect of the worker (undecodable) does
# count: if it leaves out most records, it must be mended first.
_BY_VISITORS = {Fault.TEXT_TOO_LONG, Fault.TOO_LARGE}

Slices = deque[tuple[int, int]]  # (records, dead letters)


class CircuitBreaker:
    """The share of records with dead letters among the last 10,000 of a partition."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._window: Slices = deque()

    def trip_reason(self, offsets: Sequence[int], dead: Iterable[int]) -> str:
        """Why records at these offsets must not be applied, with dead letters at `dead`; empty if they may."""
        window = self._window.copy()
        for taken in _slices(offsets, set(dead)):
            records, poison = _moved(window, taken)
            if records >= _MIN_RECORDS and poison > self._most * records:
                return (
                    f"{poison} of the last {records} records are poison, more than "
                    f"CLICKMILL_POISON_SHARE={self._most:g}"
                )
        return ""

    def record(self, offsets: Sequence[int], dead: Iterable[int]) -> None:
        """Adds applied records to the window."""
        for taken in _slices(offsets, set(dead)):
            _moved(self._window, taken)


def release_faults(letters: Iterable[DeadLetter]) -> list[int]:
    """The offsets of dead letters that indicate a bad release."""
    return [letter.offset for letter in letters if letter.error not in _BY_VISITORS]


def _moved(window: Slices, taken: tuple[int, int]) -> tuple[int, int]:
    """Moves the window by some records; returns its (records, dead letters)."""
    window.append(taken)
    while sum(records for records, _ in window) - window[0][0] >= _WINDOW:
        window.popleft()
    return sum(records for records, _ in window), sum(dead for _, dead in window)


def _slices(offsets: Sequence[int], dead: set[int]) -> list[tuple[int, int]]:
    """(records, dead letters) of slices of at most 1,000."""
    parts = [offsets[start : start + _SLICE] for start in range(0, len(offsets), _SLICE)]
    return [(len(part), len(dead.intersection(part)) if dead else 0) for part in parts]
