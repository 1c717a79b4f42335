"""A name for every request, answered as `X-Request-Id`: the caller's own if it sends a sane one."""

from __future__ import annotations

import re
import uuid

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def choose_request_id(given: str | None) -> str:
    return given if given and _SANE.fullmatch(given) else uuid.uuid4().hex


def request_id(request: Request) -> str:
    return str(request.state.request_id)


class RequestId:
    """ASGI middleware that names the request; `StandingHeaders` puts the name on the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            identity = choose_request_id(Headers(scope=scope).get("x-request-id"))
            scope.setdefault("state", {})["request_id"] = identity
        await self._app(scope, receive, send)
