"""The MCP server: tools, two documents as resources, and a prompt."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from mcp import MCPError, types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from pydantic import ValidationError
from starlette.requests import Request

from api.http.headers import request_id
from api.mcp.discovery import integration_prompt
from api.mcp.rest_calls import call_tool, draft_integration, read_document
from api.mcp.tools import Json, tool_list

log = logging.getLogger(__name__)

NAME = "clickmill"
INSTRUCTIONS = (
    "Click counts by day (get_clicks: affiliate side) and by hour or date (get_clicks_by_hour, get_clicks_by_date: "
    "short links); for both over time and compared (get_click_series), and ranked (get_top_clicks). Days and hours are "
    "local to their owner. A failed tool answers `message` and `status`."
)
PROMPT = types.Prompt(
    name="write_integration",
    title="Write an integration",
    description="Write the code that gets the described click figures from this API.",
    arguments=[
        types.PromptArgument(name="need", description="What is wanted, in plain words.", required=True),
        types.PromptArgument(name="language", description="Programming language.", required=False),
    ],
)
_RESOURCES = {
    "clickmill://openapi": ("/api/v1/schema", "openapi", "OpenAPI document of every call"),
    "clickmill://tools": ("/api/v1/tools", "tools", "Tool catalogue with JSON Schemas"),
}

Context = ServerRequestContext[Any, Any]
Page = types.PaginatedRequestParams | None


def mcp_server(app: FastAPI) -> Server[Any]:
    """A server for an application with all its routes: its OpenAPI document defines the tools."""
    handlers = Handlers(app)
    server: Server[Any] = Server(
        NAME,
        version=version("clickmill"),
        title="Clickmill",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=handlers.input_schema,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_resource_templates,
        on_read_resource=handlers.read_resource,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
    )
    server.middleware.append(_hide_internal_errors)
    return server


class Handlers:
    """The handlers of MCP methods. They raise MCPError for unknown tools, resources and prompts."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._tools = {view["name"]: view for view in tool_list(app.openapi())}

    def input_schema(self, name: str) -> Json | None:
        return self._tools[name]["inputSchema"] if name in self._tools else None

    async def list_tools(self, _: Context, _page: Page) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool.model_validate(view) for view in self._tools.values()])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name not in self._tools:
            raise _not_found(f"There is no tool {params.name!r}; tools/list names those there are.")
        return await call_tool(self._app, self._tools[params.name], params.arguments or {}, _request(context))

    async def list_resources(self, _: Context, _page: Page) -> types.ListResourcesResult:
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=uri, name=name, title=title, mime_type="application/json")
                for uri, (_, name, title) in _RESOURCES.items()
            ]
        )

    async def list_resource_templates(self, _: Context, _page: Page) -> types.ListResourceTemplatesResult:
        """Empty, but some clients require the method of every server with resources."""
        return types.ListResourceTemplatesResult(resource_templates=[])

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        if params.uri not in _RESOURCES:
            message = f"There is no resource {params.uri!r}; resources/list names those there are."
            raise _not_found(message, {"uri": params.uri})
        text = await read_document(self._app, _RESOURCES[params.uri][0], _request(context))
        contents = types.TextResourceContents(uri=params.uri, mime_type="application/json", text=text)
        return types.ReadResourceResult(contents=[contents])

    async def list_prompts(self, _: Context, _page: Page) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[PROMPT])

    async def get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        given = params.arguments or {}
        if params.name != PROMPT.name or not given.get("need"):
            raise _not_found(f"The only prompt is {PROMPT.name}, and its argument `need` is required.")
        need, language, request = given["need"], given.get("language"), _request(context)
        draft = await draft_integration(self._app, need, language, request)
        text = integration_prompt(self._app.openapi(), str(request.base_url), need, language, draft)
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
        return types.GetPromptResult(description=PROMPT.description, messages=[message])


async def _hide_internal_errors(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Logs exceptions and hides their text, which the SDK would send to the client."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Exception:
        log.exception("%s (request %s)", ctx.method, request_id(_request(ctx)))
        message = "Something went wrong on our side; the X-Request-Id of the answer finds it in our log."
        raise MCPError(types.INTERNAL_ERROR, message) from None


def _not_found(message: str, data: Json | None = None) -> MCPError:
    return MCPError(types.INVALID_PARAMS, message, data)


def _request(context: Context) -> Request:
    """The HTTP request of a message."""
    assert isinstance(context.request, Request)
    return context.request
