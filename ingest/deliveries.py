"""Acknowledgements that a long run of sends is still waiting for, without keeping those that have come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ingest.event import Click

Send = Callable[[Click], Awaitable[asyncio.Future[Any]]]


class Deliveries:
    """Sends clicks and remembers the first failure: the next `send`, or `settle`, raises it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._due: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None

    async def send(self, click: Click) -> None:
        """Returns once the click is buffered."""
        if self._failure:
            raise self._failure
        acknowledgement = await self._send(click)
        self._due.add(acknowledgement)
        acknowledgement.add_done_callback(self._settled)

    async def settle(self) -> None:
        """Returns once everything that was sent is acknowledged."""
        while self._due:
            await asyncio.wait(self._due)
        if self._failure:
            raise self._failure

    def _settled(self, acknowledgement: asyncio.Future[Any]) -> None:
        self._due.discard(acknowledgement)
        if acknowledgement.cancelled():
            self._failure = self._failure or asyncio.CancelledError()
        elif error := acknowledgement.exception():
            self._failure = self._failure or error
