"""Clicks in flight: limits to their number and time, and waiting for acknowledgements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ingest.errors import Unavailable
from ingest.event import Click


class DeliveryFailed(Unavailable):
    """The delivery was not acknowledged, but the click may have arrived. Send it again with the same event id."""


class BufferFull(Unavailable):
    """The buffer is full of unacknowledged clicks: slow down and send again."""


Acknowledgement = asyncio.Future[Any]
Send = Callable[[Click], Awaitable[Acknowledgement]]


class InFlight:
    """At most `limit` unacknowledged clicks, none for longer than `timeout` seconds.

    Reservations are served in order. More than `limit` at once wait until nothing is in flight.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self._limit, self._timeout = limit, timeout
        self._due: dict[Acknowledgement, tuple[float, int]] = {}  # (deadline, clicks); the oldest first
        self._held = 0  # clicks
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()
        self.failed = 0

    def __len__(self) -> int:
        return self._held

    async def reserve(self, sizes: Sequence[int]) -> list[Acknowledgement]:
        """Waits for room for all records together. `sizes` are clicks in each; returns a future for each."""
        async with self._turn:
            while not self._fits(sum(sizes)):
                self._settled.clear()
                await self._settled.wait()
            return [self._add(size) for size in sizes]

    def reserve_nowait(self) -> Acknowledgement:
        if self._turn.locked() or not self._fits(1):
            raise BufferFull(f"{self._held} clicks are waiting for the broker")
        return self._add(1)

    def _fits(self, clicks: int) -> bool:
        return not self._held or self._held + clicks <= self._limit

    def _add(self, clicks: int) -> Acknowledgement:
        acknowledgement: Acknowledgement = asyncio.get_running_loop().create_future()
        self._due[acknowledgement] = (time.monotonic() + self._timeout, clicks)
        self._held += clicks
        return acknowledgement

    def acknowledge(self, acknowledgement: Acknowledgement, result: Any) -> None:
        if self._release(acknowledgement):
            acknowledgement.set_result(result)

    def fail(self, acknowledgement: Acknowledgement, reason: str) -> None:
        if clicks := self._release(acknowledgement):
            self.failed += clicks
            acknowledgement.set_exception(DeliveryFailed(f"the click may not have arrived: {reason}"))

    def withdraw(self, acknowledgement: Acknowledgement) -> None:
        """Releases the room of a click that was not sent."""
        self._release(acknowledgement)
        acknowledgement.cancel()

    def _release(self, acknowledgement: Acknowledgement) -> int:
        """Clicks whose room is released; 0 if the sender already has a result, or has cancelled."""
        _, clicks = self._due.pop(acknowledgement, (0.0, 0))
        self._held -= clicks
        self._settled.set()
        return 0 if acknowledgement.done() else clicks

    async def run_expiry(self) -> None:
        """Fails overdue clicks. Runs until cancelled."""
        while True:
            oldest, (deadline, _) = next(iter(self._due.items()), (None, (time.monotonic() + self._timeout, 0)))
            if (left := deadline - time.monotonic()) > 0:
                await asyncio.sleep(left)
            elif oldest is not None:
                self.fail(oldest, f"no acknowledgement within {self._timeout:g} s")

    async def wait_settled(self) -> None:
        """Returns once all clicks reserved before this call are acknowledged or have failed."""
        if self._due:
            await asyncio.wait(list(self._due))


class DeliveryTracker:
    """Sends clicks, holds only pending acknowledgements, and raises the first failure from the next call."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._due: set[Acknowledgement] = set()
        self._failure: BaseException | None = None

    async def send(self, click: Click) -> None:
        """Returns once the click is buffered."""
        if self._failure:
            raise self._failure
        acknowledgement = await self._send(click)
        self._due.add(acknowledgement)
        acknowledgement.add_done_callback(self._settled)

    async def wait_settled(self) -> None:
        """Returns once all clicks are acknowledged."""
        while self._due:
            await asyncio.wait(self._due)
        if self._failure:
            raise self._failure

    def _settled(self, acknowledgement: Acknowledgement) -> None:
        self._due.discard(acknowledgement)
        if acknowledgement.cancelled():
            self._failure = self._failure or asyncio.CancelledError()
        elif error := acknowledgement.exception():
            self._failure = self._failure or error
