"""Streams of server-sent events: how many may be open, what they send, and when they end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as PrometheusCounter
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.dates import iso_utc
from api.http.errors import RateLimited
from api.live.feed import Change, ChangeFeed, Subscription
from api.query.change_detection import ClickOwner
from api.settings import Settings

EVENT_STREAM = "text/event-stream"
HEARTBEAT_SECONDS = 15.0  # of silence, after which a comment shows proxies that the stream is alive
KEY_CHECK_SECONDS = 1.0
RETRY_MILLISECONDS = 2_000  # after which an EventSource connects again
_RETRY_AFTER = {"Retry-After": "15"}  # nobody knows when a stream ends

_BEGIN = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
COMMENT = b":\n\n"

Valid = Callable[[], Awaitable[bool]]


class LiveStreams:
    """All streams of the process. For one event loop."""

    def __init__(self, feed: ChangeFeed, settings: Settings, registry: CollectorRegistry) -> None:
        self.feed = feed
        self._most, self._most_of_a_key = settings.live_streams, settings.live_streams_per_key
        self._of_keys: Counter[str] = Counter()
        self._stopping = False
        self._open = Gauge("clickmill_live_streams", "Open live streams", registry=registry)
        self._ended = PrometheusCounter(
            "clickmill_live_streams_ended", "Live streams that have ended", ["reason"], registry=registry
        )
        for reason in ("client", "key", "shutdown"):
            self._ended.labels(reason)

    def stop(self) -> None:
        """Ends all streams, and those that come later after their first event."""
        self._stopping = True
        self.feed.wake()

    @contextmanager
    def slot(self, key_id: str) -> Iterator[None]:
        """Holds a place for a stream. Raises RateLimited, or HTTPException 503 if the process has no place left."""
        if self._of_keys[key_id] >= self._most_of_a_key:
            raise RateLimited(f"This key has {self._most_of_a_key} live streams open; close one first.", 15)
        if self._of_keys.total() >= self._most:
            raise HTTPException(503, "This server has no live stream left; try again, or poll.", _RETRY_AFTER)
        self._of_keys[key_id] += 1
        self._open.inc()
        try:
            yield
        finally:
            self._of_keys -= Counter([key_id])  # drops zeros
            self._open.dec()

    async def parts(self, subscription: Subscription, valid: Valid) -> AsyncGenerator[bytes]:
        """The parts of a stream, the last of which says why it ends."""
        clock, reason = asyncio.get_running_loop().time, "client"
        try:
            yield _BEGIN
            sent = clock()
            while not self._stopping:
                change = await subscription.next(min(KEY_CHECK_SECONDS, sent + HEARTBEAT_SECONDS - clock()))
                if not await valid():
                    reason = "key"
                    break
                if change or clock() >= sent + HEARTBEAT_SECONDS:
                    yield _as_of(change) if change else COMMENT
                    sent = clock()
            else:
                reason = "shutdown"
            yield _event("end", {"reason": reason})
        finally:
            self._ended.labels(reason).inc()


class LiveResponse(Response):
    """One stream, open as long as its client and key are there. A slow reader slows down nobody else."""

    media_type = EVENT_STREAM

    def __init__(self, streams: LiveStreams, key_id: str, owner: ClickOwner | None, valid: Valid) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})  # else nginx holds events back
        del self.headers["content-length"]
        self._streams, self._key_id, self._owner, self._valid = streams, key_id, owner, valid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the response begins, errors become error responses."""
        with self._streams.slot(self._key_id):
            async with self._streams.feed.subscribe(self._owner) as subscription:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async with aclosing(self._streams.parts(subscription, self._valid)) as parts:
                    async for part in parts:
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body"})


def _as_of(change: Change) -> bytes:
    as_of = None if change.as_of is None else iso_utc(change.as_of)
    return _event("as_of", {"as_of": as_of, "changed_from": change.changed_from}, as_of)


def _event(name: str, data: dict[str, Any], identity: str | None = None) -> bytes:
    named = "" if identity is None else f"id: {identity}\n"
    return f"event: {name}\n{named}data: {msgspec.json.encode(data).decode()}\n\n".encode()
