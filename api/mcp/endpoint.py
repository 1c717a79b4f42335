"""`/mcp`: MCP over streamable HTTP, stateless, with one JSON response to a POST. Accepts lenient clients too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.types import INVALID_REQUEST, jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from api.http.errors import RETRY_AFTER_SECONDS
from api.http.middleware import run_while_connected
from api.mcp.discovery import mcp_greeting
from api.mcp.server import mcp_server
from api.settings import Settings
from ingest.settings import split_list

MAX_BODY_BYTES = 256 * 1024
_RETRY_LATER = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_INVALID_MESSAGE = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {
        "code": INVALID_REQUEST,
        "message": "The body must be one JSON-RPC 2.0 message, an object; send the messages of a batch one by one.",
    },
}
_ERROR_MESSAGES = {
    400: "The body must be JSON, sent with Content-Type: application/json.",
    403: "This Origin may not call /mcp: the operator allows it with CLICKMILL_CORS_ORIGINS.",
    421: "/mcp is not served under this Host: the operator allows it with CLICKMILL_MCP_HOSTS.",
}


def transport_security(settings: Settings) -> TransportSecuritySettings:
    """Allows the hosts of the settings on any port, and the origins of these hosts and of CORS; host `*` allows all."""
    hosts = split_list(settings.mcp_hosts.lower())
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection="*" not in hosts,
        allowed_hosts=[*hosts, *(f"{host}:*" for host in hosts)],
        allowed_origins=[*origins, *(f"{origin}:*" for origin in origins), *split_list(settings.cors_origins)],
    )


class McpEndpoint:
    """An ASGI application for the route `/mcp`. POST is served inside `lifespan`, and is 503 outside."""

    def __init__(self, settings: Settings) -> None:
        self._security = TransportSecurityMiddleware(transport_security(settings))
        self._any_origin = "*" in split_list(settings.cors_origins)
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Serves the tools of `app`."""
        manager = StreamableHTTPSessionManager(mcp_server(app), json_response=True, stateless=True)
        async with manager.run():
            self._manager = manager
            yield
            self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "POST":
            await self._post(request, send)
        elif request.method in ("GET", "HEAD") and not _wants_stream(request):
            await JSONResponse(mcp_greeting(str(request.base_url)))(scope, receive, send)
        else:  # without sessions there is no stream to GET and nothing to DELETE
            raise HTTPException(405, "/mcp answers POST, and GET without a stream.", {"Allow": "GET, HEAD, POST"})

    async def _post(self, request: Request, send: Send) -> None:
        checked = _without_origin(request) if self._any_origin else request
        if refused := await self._security.validate_request(checked, is_post=True):
            raise HTTPException(refused.status_code, _ERROR_MESSAGES[refused.status_code])
        if self._manager is None:
            raise HTTPException(503, "MCP is not served at the moment; try again.", _RETRY_LATER)
        try:
            body = _complete_message(await _read_body(request))
        except ClientDisconnect:
            return
        if body is None:
            await JSONResponse(_INVALID_MESSAGE, 400)(request.scope, request.receive, send)
            return
        await run_while_connected(  # the SDK alone would finish a tool whose client has disconnected
            self._manager.handle_request,
            _with_accept(request.scope),
            _replay(body, request.receive),
            _with_forwarded_headers(request, send),
        )


def _without_origin(request: Request) -> Request:
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"origin"]
    return Request({**request.scope, "headers": headers})


def _wants_stream(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "text/event-stream" in accepted and "application/json" not in accepted


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"A message may have at most {MAX_BODY_BYTES:,} bytes.")
    return bytes(body)


def _complete_message(body: bytes) -> bytes | None:
    """Adds the required fields that some clients leave out of `initialize`. None if the body is not a valid message.

    Invalid JSON is returned as it is: the SDK has a good error response for it.
    """
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(message, dict) and message.get("method") == "initialize" and isinstance(message.get("params"), dict):
        message["params"] = {"capabilities": {}, "clientInfo": {"name": "unnamed", "version": ""}, **message["params"]}
        body = json.dumps(message).encode()
    try:
        jsonrpc_message_adapter.validate_python(message, by_name=False)
    except ValidationError:
        return None
    return body


def _with_accept(scope: Scope) -> Scope:
    """The scope with an Accept header if it has none: the SDK requires one."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    headers.setdefault("accept", "application/json")
    return {**scope, "headers": headers.raw}


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with the body, which has been read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def _with_forwarded_headers(request: Request, send: Send) -> Send:
    """A `send` that adds the headers that `call_tool` has left in the state of the request."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(getattr(request.state, "forwarded_headers", {}))
        await send(message)

    return send_with_headers
