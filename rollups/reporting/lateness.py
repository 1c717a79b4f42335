"""Which partitions are behind by more than a minute, told by a worker without a look at anybody's clock but its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

LATE_SECONDS = 60.0
_SAMPLES = 720


class Lateness:
    """Remembers when the ends of logs were first seen where they are. What was not applied by then is that old.

    A worker that has just started knows of no records that are old, so it is late a minute after that at the earliest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[int, deque[tuple[float, int]]] = {}  # (time, end), of ends that are not reached yet

    def note(self, places: Mapping[int, tuple[int, int]]) -> None:
        """Takes in the next offset to apply and the end of the log, of all partitions that are held."""
        self._ends = {partition: self._ends.get(partition, deque(maxlen=_SAMPLES)) for partition in places}
        for partition, (applied, end) in places.items():
            ends = self._ends[partition]
            while ends and ends[0][1] <= applied:
                ends.popleft()
            if end > applied and (not ends or end > ends[-1][1]):
                ends.append((self._clock(), end))

    def seconds(self) -> float:
        """How old the oldest record that is not applied is, at least."""
        return max((self._clock() - ends[0][0] for ends in self._ends.values() if ends), default=0.0)

    def late(self) -> dict[int, str]:
        """How far partitions are behind that are behind by more than a minute."""
        found = {}
        for partition, ends in self._ends.items():
            if ends and (age := self._clock() - ends[0][0]) > LATE_SECONDS:
                found[partition] = f"the log is ahead by records that are there for {age:.0f} s or more"
        return found
