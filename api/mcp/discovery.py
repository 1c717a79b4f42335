"""Discovery: how clients, programs and models learn what the API offers and how to connect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS, KNOWN_PROTOCOL_VERSIONS

from api.http.openapi import example_response
from api.mcp.tools import Json, ToolList, ToolView, tool_list

_CREDENTIALS = """\
- Clicks API (`/api/v1/…`): `X-Api-Key: KEY`, or `Authorization: Bearer KEY`, or `?api_key=KEY`; the key of a \
publisher or an admin.
- Live and insights (`/api/v1/live`, `/api/insights/…`): any of these headers, with the key of an account, a \
publisher or an admin.
- Statistics (all other calls below): `Authorization: APIKey KEY` and a User-Agent; the key of an account."""
_RULES = """\
- A refusal is `{"error": {"code", "message", …}}` with its HTTP status. Statistics answer \
`{"code", "message", "result"}`; a `code` other than 0 is an error even with HTTP 200.
- HTTP 429 and 503 carry `Retry-After`: wait that many seconds, then try again.
- `X-Data-As-Of` on an answer is the click time up to which everything is counted.
- Answers carry an `ETag`; send it as `If-None-Match` and take 304 as unchanged."""


_DRAFT = (
    "A program without a model has read the need like this; check it, above all what it calls unclear. `code` is a "
    "sample of the call:"
)


class Discovery:
    """The handlers. They require no key, since they show no data."""

    def __init__(self, openapi: Callable[[], Json]) -> None:
        self._openapi = openapi
        self._tools = cache(lambda: tool_list(openapi()))  # late: the document needs all routers

    def router(self) -> APIRouter:
        router = APIRouter(tags=["discovery"])
        router.get(
            "/api/v1/tools",
            operation_id="listTools",
            summary="Tools with JSON Schemas",
            responses=example_response(200, {"tools": []}),
        )(self.list_tools)
        router.get("/mcp/integration.json", include_in_schema=False)(self.integration)
        router.get("/llms.txt", include_in_schema=False)(self.llms)
        return router

    async def list_tools(self) -> ToolList:
        return {"tools": self._tools()}

    async def integration(self, request: Request) -> Response:
        return JSONResponse(mcp_integration(str(request.base_url), self._tools()))

    async def llms(self, request: Request) -> Response:
        return PlainTextResponse(llms_text(self._openapi(), str(request.base_url)))


def mcp_greeting(base_url: str) -> Json:
    """The response of `GET /mcp`. `base_url` ends with a slash."""
    return {
        "name": "clickmill",
        "protocolVersion": HANDSHAKE_PROTOCOL_VERSIONS[-1],
        "supportedProtocolVersions": list(KNOWN_PROTOCOL_VERSIONS),
        "transport": "streamable-http",
        "endpoint": f"{base_url}mcp",
        "integration": f"{base_url}mcp/integration.json",
    }


def mcp_integration(base_url: str, tools: list[ToolView]) -> Json:
    """The response of `GET /mcp/integration.json`: endpoint, credentials, tools, client configuration."""
    return {
        **mcp_greeting(base_url),
        "auth": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Api-Key",
            "alternatives": ["Authorization: Bearer KEY", "Authorization: APIKey KEY", "?api_key=KEY"],
            "required": "for calling tools; listing them needs no key",
        },
        "tools": tools,
        "client": {
            "mcpServers": {"clickmill": {"type": "http", "url": f"{base_url}mcp", "headers": {"X-Api-Key": "YOUR_KEY"}}}
        },
    }


def integration_prompt(openapi: Json, base_url: str, need: str, language: str | None, draft: str | None) -> str:
    """A prompt for a model that writes code: the need, what the server makes of it, and a manual of the API."""
    return "\n".join(
        [
            f"Write a small, complete program{f' in {language}' if language else ''} that meets this need with the "
            "Clickmill API:",
            "",
            need,
            "",
            f"Base URL: {base_url}",
            "Read the key from the environment variable CLICKMILL_KEY; never write it into the code.",
            "Use only the calls and parameters below, follow every page, and say what you assumed.",
            "",
            *(() if draft is None else (_DRAFT, "", draft, "")),
            *_manual(openapi),
        ]
    )


def llms_text(openapi: Json, base_url: str) -> str:
    """The response of `/llms.txt`: a manual of the API for language models."""
    return "\n".join(
        [
            "# Clickmill",
            "",
            "> Click counts of affiliate links by day (Clicks API) and of short links by hour and by date "
            "(statistics), over HTTP and over MCP.",
            "",
            "## Documents",
            "",
            f"- [OpenAPI]({base_url}api/v1/schema): every call, parameter and answer",
            f"- [Tools]({base_url}api/v1/tools): the MCP tools with JSON Schemas",
            f"- [MCP]({base_url}mcp/integration.json): endpoint {base_url}mcp, credentials, client configuration",
            "",
            *_manual(openapi),
            "",
        ]
    )


def _manual(openapi: Json) -> Iterator[str]:
    yield from ("## Credentials", "", _CREDENTIALS, "", "## Calls", "")
    for path, operations in openapi["paths"].items():
        operation = operations.get("get")
        if operation and path.startswith("/api/"):
            yield f"- `GET {path}`: {operation['summary']}"
            for parameter in operation.get("parameters", []):
                yield f"  - {_parameter(parameter)}"
    yield from ("", "## Rules", "", _RULES)


def _parameter(parameter: dict[str, Any]) -> str:
    required = ", required" if parameter.get("required") else ""
    return f"`{parameter['name']}` ({parameter['in']}{required}): {parameter.get('description', '')}"
