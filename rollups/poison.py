"""A guard against bad releases: when too much of what comes in is poison, stop before it drains into dead letters."""

from __future__ import annotations

from collections import deque

_WINDOW = 10_000  # records
_LEAST = 1_000  # fewer say nothing about a share


class PoisonGuard:
    """Watches the share of records with dead letters among the last 10,000 of a partition."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._batches: deque[tuple[int, int]] = deque()

    def objection(self, records: int, dead: int) -> str:
        """Why a batch must not be taken, given those before it; empty if it may, and then it is noted."""
        batches = deque([*self._batches, (records, dead)])
        while sum(batch[0] for batch in batches) - batches[0][0] >= _WINDOW:
            batches.popleft()
        records, dead = (sum(numbers) for numbers in zip(*batches, strict=True))
        if records >= _LEAST and dead > self._most * records:
            return f"{dead} of the last {records} records are poison, more than CLICKMILL_POISON_SHARE={self._most:g}"
        self._batches = batches
        return ""
