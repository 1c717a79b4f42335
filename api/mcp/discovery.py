"""Documents for programs and models that look around: the tool list, how to connect by MCP, `/llms.txt`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from api.http.openapi import example
from api.mcp.integration import llms_text, mcp_integration
from api.mcp.tools import Json, ToolList, ToolView, tool_list


def discovery_router(openapi: Callable[[], Json]) -> APIRouter:
    """Readable without a key: they say what there is, not what anybody's clicks are."""
    router = APIRouter(tags=["discovery"])

    @cache
    def tools() -> list[ToolView]:
        return tool_list(openapi())

    @router.get(
        "/api/v1/tools",
        operation_id="listTools",
        summary="Tools with JSON Schemas",
        responses=example(200, {"tools": []}),
    )
    async def list_tools() -> ToolList:
        return {"tools": tools()}

    @router.get("/mcp/integration.json", include_in_schema=False)
    async def integration(request: Request) -> Response:
        return JSONResponse(mcp_integration(str(request.base_url), tools()))

    @router.get("/llms.txt", include_in_schema=False)
    async def llms(request: Request) -> Response:
        return PlainTextResponse(llms_text(openapi(), str(request.base_url)))

    return router
