"""Middleware of every HTTP part, the API, the collector and the worker alike."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import install_error_handlers
from api.http.failed_auth_throttle import FailedAuthThrottle
from api.http.headers import choose_request_id, default_headers
from api.settings import Settings
from ingest.settings import split_list

MAX_BODY_BYTES = 32 * 1024 * 1024
BODY_TIMEOUT_SECONDS = 60.0  # for a whole body
READ_TIMEOUT_SECONDS = 30.0  # for the client to read some of a response; applied by the server
_WATCH_AFTER_SECONDS = 0.05  # most responses are complete before
_CLOSE = {"Connection": "close"}  # the rest of the body stays unread

_CORS_REQUEST = ["Authorization", "Content-Encoding", "Content-Type", "If-None-Match", "X-Api-Key", "X-Request-Id"]
_CORS_MCP = ["Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id"]
_CORS_LIMITS = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
_CORS_RESPONSE = ["ETag", "Retry-After", "X-Data-As-Of", *_CORS_LIMITS, "X-Request-Id"]


def install_middleware(app: FastAPI, settings: Settings) -> None:
    """Adds all middleware below, the error handlers and, if `CLICKMILL_CORS_ORIGINS` is set, CORS.

    The last one added is the outermost.
    """
    app.add_middleware(CancelOnDisconnect)
    app.add_middleware(BodyLimit)
    app.add_middleware(DefaultHeaders)
    app.add_middleware(DelayFailedAuth)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestId)
    origins = split_list(settings.cors_origins)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=[*_CORS_REQUEST, *_CORS_MCP],
            expose_headers=_CORS_RESPONSE,
            max_age=600,
        )
    install_error_handlers(app)


class RequestId:
    """Gives the request its id; `DefaultHeaders` sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            identity = choose_request_id(Headers(scope=scope).get("x-request-id"))
            scope.setdefault("state", {})["request_id"] = identity
        await self._app(scope, receive, send)


class HeadAsGet:
    """Handles HEAD as GET without the body (RFC 9110, 9.3.2).

    The response ends with its headers, so a stream behind it is cancelled.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        complete = False

        async def without_body(message: Message) -> None:
            nonlocal complete
            if message["type"] == "http.response.body":
                if complete:
                    return
                complete, message = True, {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class DefaultHeaders:
    """Adds the default headers that the response lacks. Inside `RequestId`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_defaults(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                defaults = [(name.lower().encode(), value.encode()) for name, value in default_headers(scope).items()]
                message["headers"] = [*message["headers"], *(pair for pair in defaults if pair[0] not in present)]
            await send(message)

        await self._app(scope, receive, with_defaults)


class DelayFailedAuth:
    """Delays 401 responses above a rate. A caller with a valid key never waits, even behind the same proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._throttle = FailedAuthThrottle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def delayed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                await self._throttle.delay(scope.get("client"))
            await send(message)

        await self._app(scope, receive, delayed)


class BodyLimit:
    """413 for a body above `MAX_BODY_BYTES`, 408 for one that takes longer than `BODY_TIMEOUT_SECONDS`.

    Neither before the application reads the body, so a wrong key is refused first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        announced = int(length) if length.isdigit() else 0
        started = asyncio.get_running_loop().time()
        received, complete = 0, False

        async def limited() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            if announced > MAX_BODY_BYTES:
                raise _too_large()
            try:
                async with asyncio.timeout_at(started + BODY_TIMEOUT_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The body did not come in time; send it again.", _CLOSE) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > MAX_BODY_BYTES:
                raise _too_large()
            return message

        await self._app(scope, limited, send)


def _too_large() -> HTTPException:
    return HTTPException(413, f"A body holds at most {MAX_BODY_BYTES} bytes; send several.", _CLOSE)


class CancelOnDisconnect:
    """Cancels the work for a GET when its client disconnects, and with it the query."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await run_while_connected(self._app, scope, receive, send)


async def run_while_connected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Calls the application, and cancels it when its client disconnects.

    At most one message of the body may be outstanding.
    """
    watcher = DisconnectWatcher(receive, send)
    try:
        await app(scope, watcher.receive, watcher.send)
    except asyncio.CancelledError:
        if not watcher.disconnected:
            raise
        watcher.work.uncancel()
    finally:
        watcher.stop()


class DisconnectWatcher:
    """Cancels the current task when the client of its request disconnects.

    ASGI servers report a disconnect only to `receive`, which this calls once a response takes
    `_WATCH_AFTER_SECONDS`.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        loop, work = asyncio.get_running_loop(), asyncio.current_task()
        assert work is not None
        self.work, self.disconnected = work, False
        self._receive, self._send = receive, send
        self._buffered: list[Message] = []
        self._watching: asyncio.Task[None] | None = None
        self._timer = loop.call_later(_WATCH_AFTER_SECONDS, self._start)

    async def receive(self) -> Message:
        return self._buffered.pop(0) if self._buffered else await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.stop()  # servers report a disconnect after a complete response, too
        await self._send(message)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _start(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            if not self._buffered:
                self._buffered.append(message)
        self.disconnected = True
        self.work.cancel()
