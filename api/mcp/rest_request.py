"""Which REST call a tool call stands for. Pure: arguments in, path and query out, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.exceptions import HTTPException

from api.access.authentication import scheme_value
from api.dates import parse_day
from api.http.errors import STATISTICS_PATHS, BadRequest
from api.mcp.tools import API_REQUEST, BY_NAME, HOURS_OF_A_DAY, HOURS_WITH_STATUS, ToolView

_LONGEST_PATH = 2000  # each round of decoding reads it again


@dataclass(frozen=True, slots=True)
class RestCall:
    """A GET. The path is percent-encoded, as a client would send it; the query is not."""

    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def statistics(self) -> bool:
        return self.path.startswith(STATISTICS_PATHS)


def rest_call(tool: ToolView, arguments: Mapping[str, Any]) -> RestCall:
    """Arguments that the tool does not know are ignored, as the call ignores parameters.

    Raises BadRequest, or HTTPException for a method that is not GET.
    """
    if tool["name"] == API_REQUEST:
        return _any_call(arguments)
    known = {name: value for name, value in arguments.items() if name in tool["inputSchema"]["properties"]}
    query = dict(_query(known))
    path = BY_NAME[tool["name"]].paths[0]
    if path == HOURS_OF_A_DAY and query.get("fill") == "1" and parse_day(query.get("ymd")):
        # v2 has no status, v3 has: the same hours of the same day.
        query = {"startYmd": query["ymd"], "endYmd": query["ymd"], **query}
        del query["ymd"]
        path = HOURS_WITH_STATUS
    return RestCall(path, tuple(query.items()))


def _any_call(arguments: Mapping[str, Any]) -> RestCall:
    method = arguments.get("method") or "GET"
    if not isinstance(method, str) or method.upper() != "GET":
        raise HTTPException(405, "Only GET is allowed here.")
    path, query = arguments.get("path"), arguments.get("query") or {}
    if not isinstance(path, str):
        raise BadRequest("path is required, such as /api/v1/clicks.", field="path")
    if not isinstance(query, Mapping):
        raise BadRequest("query must be an object of parameters.", field="query")
    path, _, rest = path.partition("?")
    if not _below_api(path):
        raise BadRequest("path must start with /api/, without a host, a fragment or any `..`.", field="path")
    parameters = [*parse_qsl(rest, keep_blank_values=True), *_query(query)]
    if any(name == "api_key" for name, _ in parameters):
        raise BadRequest("The key belongs to the connection, not into a tool's arguments.", field="query")
    return RestCall(path, tuple(parameters))


def _below_api(path: str) -> bool:
    """Whether the path stays below /api/ however often somebody decodes it."""
    if len(path) > _LONGEST_PATH:
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


def _query(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Arguments as query parameters; null means left out."""
    return [(name, _text(name, value)) for name, value in arguments.items() if value is not None]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    raise BadRequest(f"{name} must be a text or a number.", field=name)


def connection_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key of an MCP connection, in any form that one of the calls takes. The first one present decides."""
    if (key := headers.get("x-api-key")) is not None:
        return key
    if (authorization := headers.get("authorization")) is not None:
        bearer = scheme_value(authorization, "bearer")
        return scheme_value(authorization, "apikey") if bearer is None else bearer
    return query.get("api_key")


def credentials(call: RestCall, key: str | None) -> dict[str, str]:
    """The key in the form that the call takes."""
    if key is None:
        return {}
    return {"authorization": f"APIKey {key}"} if call.statistics else {"x-api-key": key}
