"""Pauses between attempts: each twice as long as the one before, up to a longest one."""

from __future__ import annotations

import asyncio
from contextlib import suppress


def pause(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row before the last one."""
    return min(first * 2.0 ** min(failures, 64), longest)  # a power of thousands is no float


class Backoff:
    """The pauses of one loop, in seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._failures = 0

    @property
    def seconds(self) -> float:
        """How long the next `wait` takes."""
        return pause(self._failures, self._first, self._longest)

    async def wait(self, stop: asyncio.Event | None = None) -> None:
        """Waits for the pause, or until `stop` is set; the next one is longer."""
        seconds = self.seconds
        self._failures += 1
        if stop is None:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)

    def reset(self) -> None:
        """After a success: the next pause is the first one again."""
        self._failures = 0
