"""A guard against bad releases: when too much of what comes in is poison, stop before it drains into dead letters."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from ingest.event import Fault
from rollups.model import DeadLetter

_WINDOW = 10_000  # records
_SLICE = 1_000
_LEAST = 1_000  # fewer say nothing about a share
# What any visitor can cause by what a redirect server passes on: no reason to stop counting the others. A defect of
# ours (undecodable) is one: where it leaves out most of what comes, it has to be mended first.
_BY_VISITORS = {Fault.TEXT_TOO_LONG, Fault.TOO_LARGE}

Slices = deque[tuple[int, int]]  # (records, dead ones)


class CircuitBreaker:
    """Watches the share of records with dead letters among the last 10,000 of a partition."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._window: Slices = deque()

    def trip_reason(self, offsets: Sequence[int], dead: Iterable[int]) -> str:
        """Why records at these offsets must not be taken, some of them dead; empty if they may."""
        window = self._window.copy()
        for taken in _slices(offsets, set(dead)):
            records, poison = _moved(window, taken)
            if records >= _LEAST and poison > self._most * records:
                return (
                    f"{poison} of the last {records} records are poison, more than "
                    f"CLICKMILL_POISON_SHARE={self._most:g}"
                )
        return ""

    def record(self, offsets: Sequence[int], dead: Iterable[int]) -> None:
        """Takes records that were applied into the window."""
        for taken in _slices(offsets, set(dead)):
            _moved(self._window, taken)


def release_faults(letters: Iterable[DeadLetter]) -> list[int]:
    """The offsets of those letters that tell of a bad release."""
    return [letter.offset for letter in letters if letter.error not in _BY_VISITORS]


def _moved(window: Slices, taken: tuple[int, int]) -> tuple[int, int]:
    """Moves the window over some more records; returns what it holds then."""
    window.append(taken)
    while sum(records for records, _ in window) - window[0][0] >= _WINDOW:
        window.popleft()
    return sum(records for records, _ in window), sum(dead for _, dead in window)


def _slices(offsets: Sequence[int], dead: set[int]) -> list[tuple[int, int]]:
    """(records, dead ones) of stretches of at most 1,000."""
    parts = [offsets[start : start + _SLICE] for start in range(0, len(offsets), _SLICE)]
    return [(len(part), len(dead.intersection(part)) if dead else 0) for part in parts]
