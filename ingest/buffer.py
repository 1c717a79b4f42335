"""Clicks on their way: how many at most, how long at most, and who waits for them."""

from __future__ import annotations

import asyncio
import time
from typing import Any


class DeliveryFailed(RuntimeError):
    """A click whose delivery is not acknowledged; it may have arrived. Send it again with the same event id."""


class BufferFull(Exception):
    """As many clicks wait for their acknowledgement as the buffer holds: slow down and send again."""


Acknowledgement = asyncio.Future[Any]


class Buffer:
    """At most `limit` unacknowledged clicks, none for longer than `timeout` seconds.

    Room is given in the order in which it was asked for. More than `limit` at once are let into an empty buffer.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self._limit, self._timeout = limit, timeout
        self._due: dict[Acknowledgement, float] = {}  # oldest first, since all have the same time
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()
        self.failed = 0

    def __len__(self) -> int:
        return len(self._due)

    async def take(self, count: int) -> list[Acknowledgement]:
        """Waits for room for all of them together."""
        async with self._turn:
            while not self._fits(count):
                self._settled.clear()
                await self._settled.wait()
            return [self._add() for _ in range(count)]

    def take_nowait(self) -> Acknowledgement:
        if self._turn.locked() or not self._fits(1):
            raise BufferFull(f"{len(self._due)} clicks are waiting for the broker")
        return self._add()

    def _fits(self, count: int) -> bool:
        return not self._due or len(self._due) + count <= self._limit

    def _add(self) -> Acknowledgement:
        acknowledgement: Acknowledgement = asyncio.get_running_loop().create_future()
        self._due[acknowledgement] = time.monotonic() + self._timeout
        return acknowledgement

    def delivered(self, acknowledgement: Acknowledgement, result: Any) -> None:
        if self._release(acknowledgement):
            acknowledgement.set_result(result)

    def fail(self, acknowledgement: Acknowledgement, reason: str) -> None:
        if self._release(acknowledgement):
            self.failed += 1
            acknowledgement.set_exception(DeliveryFailed(f"the click may not have arrived: {reason}"))

    def withdraw(self, acknowledgement: Acknowledgement) -> None:
        """The click was not sent after all."""
        self._release(acknowledgement)
        acknowledgement.cancel()

    def _release(self, acknowledgement: Acknowledgement) -> bool:
        """Gives the room back; False if its sender has been told already, or no longer listens."""
        held = self._due.pop(acknowledgement, None) is not None
        self._settled.set()
        return held and not acknowledgement.done()

    async def expire(self) -> None:
        """Runs for ever: fails what was not acknowledged in time."""
        while True:
            oldest, deadline = next(iter(self._due.items()), (None, time.monotonic() + self._timeout))
            if (left := deadline - time.monotonic()) > 0:
                await asyncio.sleep(left)
            elif oldest is not None:
                self.fail(oldest, f"no acknowledgement within {self._timeout:g} s")

    async def settled(self) -> None:
        """Returns once everything that was taken before this call is acknowledged or has failed."""
        if self._due:
            await asyncio.wait(list(self._due))
