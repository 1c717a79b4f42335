"""Isolation of poison: batches that keep failing get smaller until the record that does it stands alone."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

_TRIES = 3  # of the whole, and of a record alone: what fails once may work the next time
_MOST_WHY = 300  # characters


@dataclass(slots=True)
class _Stretch:
    """A stretch of log that failed: what is left of it starts at `start`."""

    start: int
    until: int
    failures: int = 0
    alone: int = 0  # failures in a row of the first record by itself
    found: int = 0  # records that were left out
    why: str = ""
    most: int | None = None  # records of a batch, None for all
    poison: dict[int, str] = field(default_factory=dict)
    acquitted: bool = False  # the first record fails as a dead letter too, so its content is not the cause


class Isolation:
    """What is known of the stretches that failed, by partition. It does no I/O and blocks on nothing."""

    def __init__(self) -> None:
        self._stretches: dict[int, _Stretch] = {}

    def most(self, partition: int) -> int | None:
        """How many records the next batch of the partition may hold; None for any number."""
        stretch = self._stretches.get(partition)
        return stretch.most if stretch else None

    def poison(self, partition: int) -> Mapping[int, str]:
        """Why records cannot be counted, by offset: they are to become dead letters."""
        stretch = self._stretches.get(partition)
        return stretch.poison if stretch else {}

    def suspected(self, partition: int) -> bool:
        """Whether the next batch may fail, so that no other partition should depend on it."""
        return partition in self._stretches

    def failed(self, partition: int, start: int, end: int, offsets: Sequence[int], why: str) -> bool:
        """Takes note of a batch that was refused; whether the next one is another: smaller, or with a dead letter."""
        stretch = self._stretches.get(partition)
        if stretch is None or stretch.start != start:
            stretch = self._stretches[partition] = _Stretch(start, end)
        stretch.failures += 1
        stretch.why = why[:_MOST_WHY]
        stretch.alone = stretch.alone + 1 if len(offsets) == 1 else 0
        if stretch.failures < _TRIES or stretch.acquitted or not offsets:
            return False
        stretch.most = max(1, len(offsets) // 2)
        if stretch.alone >= _TRIES:
            stretch.acquitted = offsets[0] in stretch.poison
            stretch.poison = {} if stretch.acquitted else {offsets[0]: stretch.why}
        return not stretch.acquitted

    def applied(self, partition: int, end: int) -> None:
        """Takes note of a batch that was applied up to `end`."""
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
        """What is being looked for, by partition, where a record was left out already: it may not be the only one."""
        return {
            partition: f"{stretch.found} records up to offset {stretch.start} could not be counted: {stretch.why}"
            for partition, stretch in self._stretches.items()
            if stretch.found
        }

    def forget_all_but(self, partitions: Container[int]) -> None:
        self._stretches = {p: stretch for p, stretch in self._stretches.items() if p in partitions}
