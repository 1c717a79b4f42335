"""A tool call as a REST call to this very application: its keys, scope, limits and bytes are those of REST."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from mcp import MCPError
from mcp.types import INTERNAL_ERROR, CallToolResult, TextContent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp

from api.http.errors import BadRequest, describe
from api.http.headers import request_id
from api.mcp.rest_request import RestCall, connection_key, credentials, rest_call
from api.mcp.tools import ToolView

NO_KEY = "No API key came with this connection: give it the header X-Api-Key: KEY, or Authorization: Bearer KEY."
# What a caller of REST would also learn from the headers of the answer.
TOLD = ("x-data-as-of", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after")


async def call_tool(app: ASGIApp, tool: ToolView, arguments: Mapping[str, Any], request: Request) -> CallToolResult:
    """The REST body as structured content and as text; of a failed call with `message` and `status` added."""
    try:
        call = rest_call(tool, arguments)
        answer = await _get(app, call, request)
    except (BadRequest, HTTPException, httpx.InvalidURL) as error:
        refusal = BadRequest("The arguments are too long.") if isinstance(error, httpx.InvalidURL) else error
        problem = describe(refusal, scheme="Bearer")
        return _failure({"message": problem.message}, problem.status, {})
    told = {name: answer.headers[name] for name in TOLD if name in answer.headers}
    request.state.told = told
    body = _object(answer.content)
    if body is None:
        return _failure({"message": "The answer is no JSON object: ask for it over HTTP."}, answer.status_code, told)
    if answer.status_code == 401 and connection_key(request.headers, request.query_params) is None:
        body["message"] = NO_KEY  # the call would name the header that it takes itself
    if answer.status_code >= 400 or (call.statistics and body.get("code") != 0):
        return _failure(body, answer.status_code, told)
    return _result(answer.text, body, told, failed=False)


async def read_document(app: ASGIApp, path: str, request: Request) -> str:
    """The text of a document that anybody may read."""
    answer = await _get(app, RestCall(path, ()), request)
    if answer.status_code != 200:
        raise MCPError(INTERNAL_ERROR, f"The document cannot be read at the moment (HTTP {answer.status_code}).")
    return answer.text


async def _get(app: ASGIApp, call: RestCall, request: Request) -> httpx.Response:
    key = connection_key(request.headers, request.query_params)
    headers = {"accept": "application/json", "x-request-id": request_id(request), **credentials(call, key)}
    if (agent := request.headers.get("user-agent")) is not None:
        headers["user-agent"] = agent
    # Bytes: httpx takes texts for ASCII only.
    raw = [(name.encode(), value.encode("latin-1", "backslashreplace")) for name, value in headers.items()]
    url = httpx.URL(f"http://localhost{call.path}?{urlencode(call.query, errors='replace')}")
    # Past httpx's client, which would add headers of its own; with the caller's address, which limits go by.
    client = (request.client.host, request.client.port) if request.client else ("", 0)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)
    response = await transport.handle_async_request(httpx.Request("GET", url, headers=raw))
    await response.aread()
    return response


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    return body if isinstance(body, dict) else None


def _failure(body: Mapping[str, Any], status: int, told: Mapping[str, str]) -> CallToolResult:
    error = body.get("error")
    words = (body.get("message"), error.get("message") if isinstance(error, dict) else None)
    message = next((text for text in words if isinstance(text, str) and text), HTTPStatus(status).phrase)
    whole = {**body, "status": status, "message": message}
    return _result(msgspec.json.encode(whole).decode(), whole, told, failed=True)


def _result(text: str, body: dict[str, Any], told: Mapping[str, str], *, failed: bool) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=body,
        is_error=failed,
        _meta={"headers": dict(told)} if told else None,
    )
