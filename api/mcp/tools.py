"""The tools of MCP, with JSON Schemas from the OpenAPI document of their REST calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict

Json = dict[str, Any]


class ToolView(TypedDict):
    name: str
    title: str
    description: str
    inputSchema: Json
    outputSchema: Json
    annotations: Json


class ToolList(TypedDict):
    tools: list[ToolView]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestTool:
    """A tool for a REST call. Its arguments are those of the first path, its results those of any path."""

    name: str
    title: str
    description: str
    paths: tuple[str, ...]


HOURS_OF_A_DAY = "/api/statistics/v2/clicks-by-hour"
HOURS_WITH_STATUS = "/api/statistics/v3/clicks-by-hour"

REST_TOOLS = (
    RestTool(
        name="get_clicks",
        title="Clicks by day",
        description=(
            "Daily clicks by advertiser, publisher and network, newest day and most clicks first, page by page: follow "
            "meta.next_page. At most 90 days. Needs the key of a publisher, who sees its own clicks only, or of an "
            "admin."
        ),
        paths=("/api/v1/clicks",),
    ),
    RestTool(
        name="get_clicks_by_hour",
        title="Clicks by hour",
        description=(
            "Clicks (acesCnt) and unique users (pernCnt) by hour of one day, in the account's time zone: of a link "
            "(linkId and domain), of a group (grpIdx), or else of the whole account. Only hours with clicks are "
            "listed; with fill=1 every hour of the day is, each with a status: final, open (its clicks are still "
            "coming in) or future. Needs the key of an account."
        ),
        paths=(HOURS_OF_A_DAY, HOURS_WITH_STATUS),
    ),
    RestTool(
        name="get_clicks_by_date",
        title="Clicks by date",
        description=(
            "Clicks (acesCnt) and unique users (pernCnt) by day, in the account's time zone, of a link, a group or the "
            "whole account. A day's unique users are counted once over the whole day. Needs the key of an account."
        ),
        paths=("/api/statistics/v2/clicks-by-date",),
    ),
    RestTool(
        name="get_click_series",
        title="Clicks over time",
        description=(
            "Clicks, unique users and bots by hour, day, week or month, over at most 400 days, also against the period "
            "before, the same weekdays or the year before (compare): of an account, a link (linkId and domain) or a "
            "group (grpIdx), or of a publisher, whose clicks have no hours and no users. Needs the key of an account "
            "or a publisher, or of an admin, who names account_id or publisher_id."
        ),
        paths=("/api/insights/v1/series",),
    ),
    RestTool(
        name="get_top_clicks",
        title="What has the most clicks",
        description=(
            "Links or groups of an account, or advertisers, networks or publishers on the affiliate side, with the "
            "most clicks, the largest gain or the largest loss against the period before; at most 400 days. The row "
            "(other) has the rest. Needs the key of an account, a publisher or an admin."
        ),
        paths=("/api/insights/v1/top",),
    ),
)
BY_NAME = {tool.name: tool for tool in REST_TOOLS}
API_REQUEST = "api_request"

_FAILURE = {
    "type": "object",
    "description": "What a failed tool answers, besides the body of the call.",
    "properties": {"message": {"type": "string"}, "status": {"type": "integer", "description": "HTTP status."}},
    "required": ["message", "status"],
}
_API_REQUEST: ToolView = {
    "name": API_REQUEST,
    "title": "Any GET call of the API",
    "description": "Calls any GET endpoint below /api/ that GET /api/v1/schema describes, as this key's owner, and "
    "answers its JSON body. Prefer the named tools where one fits.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Path below /api/, such as /api/v1/clicks."},
            "method": {"type": "string", "enum": ["GET"], "default": "GET", "description": "Only GET."},
            "query": {
                "type": "object",
                "description": "Query parameters.",
                "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]},
            },
            "body": {"type": "object", "description": "Ignored: a GET has none."},
        },
        "required": ["path"],
    },
    "outputSchema": {"type": "object"},
    "annotations": {},
}


def tool_list(openapi: Json) -> list[ToolView]:
    """All tools."""
    views = [_view(tool, openapi) for tool in REST_TOOLS]
    return [{**view, "annotations": _annotations(view["title"])} for view in [*views, _API_REQUEST]]


def _annotations(title: str) -> Json:
    return {
        "title": title,
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": False,
    }


def _view(tool: RestTool, openapi: Json) -> ToolView:
    parameters = [known for known in _operation(openapi, tool.paths[0])["parameters"] if known["in"] == "query"]
    answers = [_answer(_operation(openapi, path)) for path in tool.paths]
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": {
            "type": "object",
            "properties": {
                known["name"]: {**known["schema"], "description": known.get("description", "")} for known in parameters
            },
            "required": [known["name"] for known in parameters if known.get("required")],
        },
        "outputSchema": {"type": "object", "anyOf": [*(_inlined(answer, openapi) for answer in answers), _FAILURE]},
        "annotations": {},
    }


def _operation(openapi: Json, path: str) -> Any:
    return openapi["paths"][path]["get"]


def _answer(operation: Json) -> Json:
    schema: Json = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


def _inlined(schema: Any, openapi: Json) -> Any:
    """The schema with its references replaced by their targets, since clients lack the OpenAPI document."""
    if isinstance(schema, list):
        return [_inlined(part, openapi) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _inlined(openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]], openapi)
    return {name: _inlined(part, openapi) for name, part in schema.items()}
