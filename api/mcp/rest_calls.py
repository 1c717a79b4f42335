"""Tool calls as REST calls to this application: with the keys, scopes, limits and response bodies of REST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import httpx
import msgspec
from mcp import MCPError
from mcp.types import INTERNAL_ERROR, CallToolResult, TextContent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp

from api.dates import parse_day
from api.http.errors import STATISTICS_PATHS, BadRequest, to_problem
from api.http.headers import ANY_SCHEME, presented_key, request_id
from api.mcp.tools import API_REQUEST, BY_NAME, HOURS_OF_A_DAY, HOURS_WITH_STATUS, ToolView

NO_KEY = "No API key came with this connection: give it the header X-Api-Key: KEY, or Authorization: Bearer KEY."
# Headers of the REST response that MCP clients get too.
FORWARDED_HEADERS = ("x-data-as-of", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after")
_MAX_PATH_LENGTH = 2000  # it is decoded again and again, see `_is_below_api`


@dataclass(frozen=True, slots=True)
class RestCall:
    """A GET request. The path is percent-encoded, the query is not."""

    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def statistics(self) -> bool:
        return self.path.startswith(STATISTICS_PATHS)


def rest_call(tool: ToolView, arguments: Mapping[str, Any]) -> RestCall:
    """The REST call of a tool call. Unknown arguments are ignored, as REST ignores unknown parameters.

    Raises BadRequest, or HTTPException for a method that is not GET.
    """
    if tool["name"] == API_REQUEST:
        return _api_request_call(arguments)
    known = {name: value for name, value in arguments.items() if name in tool["inputSchema"]["properties"]}
    query = dict(_query_parameters(known))
    path = BY_NAME[tool["name"]].paths[0]
    if path == HOURS_OF_A_DAY and query.get("fill") == "1" and parse_day(query.get("ymd")):
        # The same hours with a status, which v2 lacks.
        query = {"startYmd": query["ymd"], "endYmd": query["ymd"], **query}
        del query["ymd"]
        path = HOURS_WITH_STATUS
    return RestCall(path, tuple(query.items()))


async def call_tool(app: ASGIApp, tool: ToolView, arguments: Mapping[str, Any], request: Request) -> CallToolResult:
    """The REST body as structured content and as text. A failure also has `message` and `status`."""
    try:
        call = rest_call(tool, arguments)
        response = await _send(app, call, request)
    except (BadRequest, HTTPException, httpx.InvalidURL) as error:
        reason = BadRequest("The arguments are too long.") if isinstance(error, httpx.InvalidURL) else error
        problem = to_problem(reason, scheme="Bearer")
        return _failure({"message": problem.message}, problem.status, {})
    forwarded = {name: response.headers[name] for name in FORWARDED_HEADERS if name in response.headers}
    request.state.forwarded_headers = forwarded
    body = _object(response.content)
    if body is None:
        return _failure(
            {"message": "The answer is no JSON object: ask for it over HTTP."}, response.status_code, forwarded
        )
    if response.status_code == 401 and presented_key(request.headers, request.query_params, *ANY_SCHEME) is None:
        body["message"] = NO_KEY  # REST names the header of its own family of calls only
    if response.status_code >= 400 or (call.statistics and body.get("code") != 0):
        return _failure(body, response.status_code, forwarded)
    return _result(response.text, body, forwarded, failed=False)


async def read_document(app: ASGIApp, path: str, request: Request) -> str:
    """The text of a document that requires no key. Raises MCPError if it cannot be read."""
    response = await _send(app, RestCall(path, ()), request)
    if response.status_code != 200:
        raise MCPError(INTERNAL_ERROR, f"The document cannot be read at the moment (HTTP {response.status_code}).")
    return response.text


async def draft_integration(app: ASGIApp, need: str, language: str | None, request: Request) -> str | None:
    """The body of `/api/v1/integration`, by default with curl; None if it is refused, as is a need that is too long."""
    for chosen in (language or "curl").lower(), "curl":
        call = RestCall("/api/v1/integration", (("need", need), ("language", chosen)))
        response = await _send(app, call, request)
        if response.status_code == 200:
            return response.text
    return None


async def _send(app: ASGIApp, call: RestCall, request: Request) -> httpx.Response:
    key = presented_key(request.headers, request.query_params, *ANY_SCHEME)
    headers = {"accept": "application/json", "x-request-id": request_id(request), **credentials(call, key)}
    for name in ("host", "user-agent"):  # samples of code name the host
        if (value := request.headers.get(name)) is not None:
            headers[name] = value
    # As bytes: httpx accepts only ASCII in texts.
    raw = [(name.encode(), value.encode("latin-1", "backslashreplace")) for name, value in headers.items()]
    url = httpx.URL(f"{request.url.scheme}://localhost{call.path}?{urlencode(call.query, errors='replace')}")
    # Without an httpx client, which would add headers. The client's address is passed on for limits by address.
    client = (request.client.host, request.client.port) if request.client else ("", 0)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)
    response = await transport.handle_async_request(httpx.Request("GET", url, headers=raw))
    await response.aread()
    return response


def credentials(call: RestCall, key: str | None) -> dict[str, str]:
    """The header with the key in the form that the REST call requires."""
    if key is None:
        return {}
    return {"authorization": f"APIKey {key}"} if call.statistics else {"x-api-key": key}


def _api_request_call(arguments: Mapping[str, Any]) -> RestCall:
    method = arguments.get("method") or "GET"
    if not isinstance(method, str) or method.upper() != "GET":
        raise HTTPException(405, "Only GET is allowed here.")
    path, query = arguments.get("path"), arguments.get("query") or {}
    if not isinstance(path, str):
        raise BadRequest("path is required, such as /api/v1/clicks.", field="path")
    if not isinstance(query, Mapping):
        raise BadRequest("query must be an object of parameters.", field="query")
    path, _, rest = path.partition("?")
    if not _is_below_api(path):
        raise BadRequest("path must start with /api/, without a host, a fragment or any `..`.", field="path")
    parameters = [*parse_qsl(rest, keep_blank_values=True), *_query_parameters(query)]
    if any(name == "api_key" for name, _ in parameters):
        raise BadRequest("The key belongs to the connection, not into a tool's arguments.", field="query")
    return RestCall(path, tuple(parameters))


def _is_below_api(path: str) -> bool:
    """Whether the path stays below /api/ however often it is decoded."""
    if len(path) > _MAX_PATH_LENGTH:
        return False
    while True:
        segments = path.split("/")
        if segments[:2] != ["", "api"] or len(segments) < 3 or {".", ".."} & set(segments):
            return False
        if any(char in "\\?#" or not char.isprintable() for char in path):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded


def _query_parameters(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Arguments as query parameters, without nulls. Raises BadRequest."""
    return [(name, _text(name, value)) for name, value in arguments.items() if value is not None]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    raise BadRequest(f"{name} must be a text or a number.", field=name)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    return body if isinstance(body, dict) else None


def _failure(body: Mapping[str, Any], status: int, forwarded: Mapping[str, str]) -> CallToolResult:
    error = body.get("error")
    words = (body.get("message"), error.get("message") if isinstance(error, dict) else None)
    message = next((text for text in words if isinstance(text, str) and text), HTTPStatus(status).phrase)
    whole = {**body, "status": status, "message": message}
    return _result(msgspec.json.encode(whole).decode(), whole, forwarded, failed=True)


def _result(text: str, body: dict[str, Any], forwarded: Mapping[str, str], *, failed: bool) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=body,
        is_error=failed,
        _meta={"headers": dict(forwarded)} if forwarded else None,
    )
