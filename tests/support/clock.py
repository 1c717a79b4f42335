"""A clock that moves only when a test moves it."""

from __future__ import annotations


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds."""
        return self.now
