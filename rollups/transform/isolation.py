"""Isolation of poison: a batch that keeps failing is halved until the record that causes it is alone."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

_TRIES = 3  # of the whole batch, and of a single record: a failure may be temporary
_MAX_REASON_LENGTH = 300  # characters


@dataclass(slots=True)
class _Stretch:
    """A stretch of the log that failed; the rest of it starts at `start`."""

    start: int
    until: int
    failures: int = 0
    alone: int = 0  # failures in a row of the first record alone
    found: int = 0  # records that were left out
    reason: str = ""
    most: int | None = None  # records of a batch, None for all
    poison: dict[int, str] = field(default_factory=dict)
    acquitted: bool = False  # the first record also fails as a dead letter: its content is not the cause


class Isolation:
    """Stretches that failed, by partition. No call blocks."""

    def __init__(self) -> None:
        self._stretches: dict[int, _Stretch] = {}

    def most(self, partition: int) -> int | None:
        """How many records the next batch of the partition may hold; None for any number."""
        stretch = self._stretches.get(partition)
        return stretch.most if stretch else None

    def poison(self, partition: int) -> Mapping[int, str]:
        """Why records cannot be counted, by offset; they become dead letters."""
        stretch = self._stretches.get(partition)
        return stretch.poison if stretch else {}

    def suspected(self, partition: int) -> bool:
        """Whether the next batch may fail, so that no other partition should depend on it."""
        return partition in self._stretches

    def failed(self, partition: int, start: int, end: int, offsets: Sequence[int], reason: str) -> bool:
        """Notes a refused batch; whether the next attempt differs: is smaller, or makes a dead letter."""
        stretch = self._stretches.get(partition)
        if stretch is None or stretch.start != start:
            stretch = self._stretches[partition] = _Stretch(start, end)
        stretch.failures += 1
        stretch.reason = reason[:_MAX_REASON_LENGTH]
        stretch.alone = stretch.alone + 1 if len(offsets) == 1 else 0
        if stretch.failures < _TRIES or stretch.acquitted or not offsets:
            return False
        stretch.most = max(1, len(offsets) // 2)
        if stretch.alone >= _TRIES:
            stretch.acquitted = offsets[0] in stretch.poison
            stretch.poison = {} if stretch.acquitted else {offsets[0]: stretch.reason}
        return not stretch.acquitted

    def applied(self, partition: int, end: int) -> None:
        """Notes a batch that was applied up to `end`."""
        stretch = self._stretches.get(partition)
        if stretch is None:
            return
        if end >= stretch.until:
            del self._stretches[partition]
            return
        stretch.found += len(stretch.poison)
        stretch.start, stretch.alone, stretch.poison, stretch.acquitted = end, 0, {}, False
        stretch.most = stretch.most and 2 * stretch.most

    def under_way(self) -> dict[int, str]:
        """Why partitions are searched further, for those where a record was left out already."""
        return {
            partition: f"{stretch.found} records up to offset {stretch.start} could not be counted: {stretch.reason}"
            for partition, stretch in self._stretches.items()
            if stretch.found
        }

    def forget_all_but(self, partitions: Container[int]) -> None:
        self._stretches = {p: stretch for p, stretch in self._stretches.items() if p in partitions}
