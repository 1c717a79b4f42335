"""A guard against bad releases: when too much of what comes in is poison, stop before it drains into dead letters."""

from __future__ import annotations

from collections import deque

_WINDOW = 10_000  # events
_LEAST = 1_000  # fewer say nothing about a share


class Poisoned(Exception):
    """More of the last events than the setting allows could not be counted."""


class PoisonGuard:
    """Watches the share of dead letters among the last 10,000 events of a worker."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._batches: deque[tuple[int, int]] = deque()

    def check(self, events: int, dead: int) -> None:
        """Raises Poisoned if these events, with those before them, hold too many dead letters."""
        batches = deque([*self._batches, (events, dead)])
        while sum(batch[0] for batch in batches) - batches[0][0] >= _WINDOW:
            batches.popleft()
        events, dead = (sum(numbers) for numbers in zip(*batches, strict=True))
        if events >= _LEAST and dead > self._most * events:
            raise Poisoned(
                f"{dead} of the last {events} events cannot be counted, more than CLICKMILL_POISON_SHARE={self._most:g}"
            )
        self._batches = batches
