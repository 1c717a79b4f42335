"""How much of a client is put up with: large and slow bodies, answers that it does not read, and that it leaves."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 32 * 1024 * 1024
BODY_SECONDS = 60.0  # for a whole body
READ_SECONDS = 30.0  # for the client to read some of an answer, or the server hangs up
_SOON_SECONDS = 0.05  # most answers are there before
_CLOSE = {"Connection": "close"}  # what is left of the body is not read


class LimitedBody:
    """ASGI middleware: 413 for a body above `MAX_BODY_BYTES`, 408 for one that takes longer than `BODY_SECONDS`.

    Neither before the application asks for the body, so a caller whose key is refused is told that.
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
        seen, whole = 0, False

        async def limited() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()
            if announced > MAX_BODY_BYTES:
                raise _too_large()
            try:
                async with asyncio.timeout_at(started + BODY_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The body did not come in time; send it again.", _CLOSE) from None
            seen += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if seen > MAX_BODY_BYTES:
                raise _too_large()
            return message

        await self._app(scope, limited, send)


def _too_large() -> HTTPException:
    return HTTPException(413, f"A body holds at most {MAX_BODY_BYTES} bytes; send several.", _CLOSE)


class CallOff:
    """ASGI middleware: work for a GET ends when its client has left.

    Servers tell who asks whether the client is there, and otherwise go on; nobody would ask while a query runs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await while_there(self._app, scope, receive, send)


async def while_there(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Calls the application until its client has left. Of the body there may be one message to come at most."""
    attention = _Attention(receive, send)
    try:
        await app(scope, attention.receive, attention.send)
    except asyncio.CancelledError:
        if not attention.left:
            raise
        attention.work.uncancel()
    finally:
        attention.end()


class _Attention:
    """Whether the client of one request is still there; asked for only once the answer takes `_SOON_SECONDS`."""

    def __init__(self, receive: Receive, send: Send) -> None:
        loop, work = asyncio.get_running_loop(), asyncio.current_task()
        assert work is not None
        self.work, self.left = work, False
        self._receive, self._send = receive, send
        self._kept: list[Message] = []
        self._watching: asyncio.Task[None] | None = None
        self._soon = loop.call_later(_SOON_SECONDS, self._begin)

    async def receive(self) -> Message:
        return self._kept.pop(0) if self._kept else await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.end()  # an answer that is complete reads like a client that has left
        await self._send(message)

    def end(self) -> None:
        self._soon.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _begin(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            if not self._kept:
                self._kept.append(message)
        self._call_off()

    def _call_off(self) -> None:
        self.left = True
        self.work.cancel()
