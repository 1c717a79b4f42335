"""Methods that no call has to think of: HEAD wherever there is GET, and which ones a path allows."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadLikeGet:
    """ASGI middleware: HEAD is answered as GET is, without the body (RFC 9110, 9.3.2).

    The answer ends with its head, so a stream behind it is told that nobody is there any more.
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


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """The methods of all routes of a path, sorted; a router would name those of the first only."""
    found = {
        method
        for route in iter_route_contexts(app.routes)
        if route.path_regex.match(path)
        for method in route.methods or ()
    }
    return sorted(found | {"HEAD"} if "GET" in found else found)
