"""What the MCP server offers: tools, the two documents as resources, and a prompt."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from mcp import MCPError, types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from starlette.requests import Request

from api.integration import integration_prompt
from api.mcp_calls import call_tool, read_document
from api.tools import catalogue

NAME = "clickmill"
INSTRUCTIONS = (
    "Click counts by day (get_clicks: affiliate side) and by hour or date (get_clicks_by_hour, get_clicks_by_date: "
    "short links). Days and hours are local to their owner. A failed tool answers `message` and `status`."
)
PROMPT = "write_integration"
_RESOURCES = {
    "clickmill://openapi": ("/api/v1/schema", "openapi", "OpenAPI document of every call"),
    "clickmill://tools": ("/api/v1/tools", "tools", "Tool catalogue with JSON Schemas"),
}

Context = ServerRequestContext[Any, Any]


def mcp_server(app: FastAPI) -> Server[Any]:
    """The server in front of the application, which must be complete: its OpenAPI document makes the tools."""
    views = catalogue(app.openapi())
    by_name = {view["name"]: view for view in views}

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool.model_validate(view) for view in views])

    async def call(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name not in by_name:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name!r}; tools/list names those there are.")
        return await call_tool(app, by_name[params.name], params.arguments or {}, _request(context))

    async def list_resources(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=uri, name=name, title=title, mime_type="application/json")
                for uri, (_, name, title) in _RESOURCES.items()
            ]
        )

    async def read_resource(context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        if params.uri not in _RESOURCES:
            raise MCPError(types.INVALID_PARAMS, f"There is no resource {params.uri!r}; resources/list names them.")
        text = await read_document(app, _RESOURCES[params.uri][0], _request(context))
        contents = types.TextResourceContents(uri=params.uri, mime_type="application/json", text=text)
        return types.ReadResourceResult(contents=[contents])

    async def list_prompts(_: Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[_PROMPT])

    async def get_prompt(context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        arguments = params.arguments or {}
        if params.name != PROMPT or not arguments.get("need"):
            raise MCPError(types.INVALID_PARAMS, f"The prompt is {PROMPT}, with the argument `need`.")
        text = integration_prompt(
            app.openapi(), str(_request(context).base_url), arguments["need"], arguments.get("language")
        )
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
        return types.GetPromptResult(description=_PROMPT.description, messages=[message])

    return Server(
        NAME,
        version=version("clickmill"),
        title="Clickmill",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=lambda name: by_name[name]["inputSchema"] if name in by_name else None,
        on_list_tools=list_tools,
        on_call_tool=call,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )


_PROMPT = types.Prompt(
    name=PROMPT,
    title="Write an integration",
    description="Write the code that gets the described click figures from this API.",
    arguments=[
        types.PromptArgument(name="need", description="What is wanted, in plain words.", required=True),
        types.PromptArgument(name="language", description="Programming language.", required=False),
    ],
)


def _request(context: Context) -> Request:
    """The HTTP request that a message came in."""
    assert isinstance(context.request, Request)
    return context.request
