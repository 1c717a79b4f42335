"""The parts of the OpenAPI document that calls share.

A call declares its own part: `responses={**success_responses(…), **error_responses(400)}` and, in `openapi_extra`, its
`parameters` and `security`. `DocumentedApp` adds the rest: the request id of each response, and for calls with a
credential the errors of credentials, limits and database, in the envelope of their path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, routing
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter
from starlette.routing import BaseRoute

from api.http.errors import (
    STATISTICS_PATHS,
    ErrorAnswer,
    Problem,
    RefusedStatistics,
    error_body,
    statistics_body,
)
from ingest.event import MAX_ID

Responses = dict[int | str, dict[str, Any]]

JSON = "application/json"

# For `security` in `openapi_extra`: any one of these credentials.
HEADER_SECURITY: list[dict[str, list[str]]] = [{"X-Api-Key": []}, {"Bearer": []}, {"APIKey": []}]
CLICKS_SECURITY: list[dict[str, list[str]]] = [{"X-Api-Key": []}, {"Bearer": []}, {"api_key": []}]

_SCHEMES: dict[str, dict[str, str]] = {
    "X-Api-Key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The API key, as a bearer token."},
    "api_key": {"type": "apiKey", "in": "query", "name": "api_key", "description": "For old clients: URLs get logged."},
    "APIKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`APIKey KEY`, with the key of an account. Statistics require a `User-Agent` too.",
    },
}

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "required": True,
        "description": "Names the request in our log; the caller's own X-Request-Id, if it sent a sane one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    },
    "X-Data-As-Of": {
        "description": "Every click up to this time is counted. Absent until the workers have looked at the log.",
        "schema": {"type": "string", "format": "date-time"},
    },
    "ETag": {"description": "Validator of the body, for If-None-Match.", "schema": _TEXT},
    "Cache-Control": {"description": "Who may keep the answer, and for how long.", "schema": _TEXT},
    "Vary": {"description": "The request headers that the answer depends on.", "schema": _TEXT},
    "WWW-Authenticate": {"description": "The scheme of the credential that is missing.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait before the next try.", "schema": _COUNT},
    "X-RateLimit-Limit": {"description": "Requests that the key has in the window.", "schema": _COUNT},
    "X-RateLimit-Remaining": {"description": "Requests that are left in it.", "schema": _COUNT},
    "X-RateLimit-Reset": {"description": "When the window ends, in seconds since 1970.", "schema": _COUNT},
}
DATA_HEADERS = ("X-Data-As-Of", "ETag", "Cache-Control", "Vary")
_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "ETag of an answer that the caller has: 304 while it is still true.",
}

# By status: description, message of the example, headers.
_ERRORS: dict[int, tuple[str, str, tuple[str, ...]]] = {
    400: ("A parameter or the body is wrong; `details.field` says which part.", "start_date is required.", ()),
    401: ("The credential is missing or wrong.", "A valid API key is required.", ("WWW-Authenticate",)),
    403: ("The caller is known, or its User-Agent is, and may not ask this.", "This key has no access.", ()),
    404: ("There is no such thing.", "There is no key with this id.", ()),
    406: ("The call answers with a media type that the caller does not accept.", "This is a stream of events.", ()),
    408: ("The body did not come in time.", "The body did not come in time; send it again.", ()),
    413: ("The body is too large.", "The body is too large; send several.", ()),
    429: ("Over the limit.", "Too many requests: try again in 7 seconds.", ("Retry-After",)),
    500: ("A fault of ours.", "Something went wrong on our side; the request id finds it in our log.", ()),
    503: ("The database cannot be reached.", "The database cannot be reached at the moment.", ("Retry-After",)),
}
_OF_EVERY_SECURED_CALL = (401, 403, 429, 503)
_OF_EVERY_BODY = (408, 413)


def success_responses(description: str, examples: Mapping[str, Any]) -> Responses:
    """200 and 304 of a call that returns data, with named examples (`{"summary", "value"}`) of its body."""
    headers = header_references(DATA_HEADERS)
    return {
        200: {"description": description, "headers": headers, "content": {JSON: {"examples": dict(examples)}}},
        304: {"description": "Unchanged since the answer whose ETag the caller named.", "headers": headers},
    }


def example_response(status: int, value: Any) -> Responses:
    """An example of the body with this status; FastAPI documents the rest of the response."""
    return {status: {"content": {JSON: {"examples": {"example": {"value": value}}}}}}


def error_responses(*statuses: int, statistics: bool = False) -> Responses:
    """Errors with these statuses, in the envelope of the statistics calls or of all others."""
    return {status: _error_response(status, statistics) for status in statuses}


def header_references(names: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


class DocumentedApp(FastAPI):
    """An application whose document lists every possible response."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema:
            return self.openapi_schema
        document = super().openapi()
        _restore_bounds(document)
        _add_components(document.setdefault("components", {}))
        _restore_examples(document["paths"], self.routes)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _complete(operation, statistics=path.startswith(STATISTICS_PATHS))
        return document


def schema_router() -> APIRouter:
    router = APIRouter(tags=["discovery"])
    router.get(
        "/api/v1/schema",
        operation_id="getSchema",
        summary="This OpenAPI document",
        response_model=dict[str, Any],
        responses=example_response(
            200, {"openapi": "3.1.0", "info": {"title": "Clickmill", "version": "1"}, "paths": {}}
        ),
    )(get_schema)
    return router


def get_schema(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


def _error_response(status: int, statistics: bool) -> dict[str, Any]:
    meaning, words, headers = _ERRORS[status]
    problem = Problem(status, words, 1000 + status, field="start_date" if status == 400 else None)
    example: Any = statistics_body(problem) if statistics else error_body(problem, "3f2b8c", 1_774_958_400)
    schema = {"$ref": f"#/components/schemas/{(RefusedStatistics if statistics else ErrorAnswer).__name__}"}
    return {
        "description": meaning,
        "headers": header_references(headers),
        "content": {JSON: {"schema": schema, "example": example}},
    }


def _restore_bounds(node: Any) -> None:
    """FastAPI turns bounds to floats, which round the largest id, 2^63 - 1, to 2^63."""
    if isinstance(node, list):
        for part in node:
            _restore_bounds(part)
    elif isinstance(node, dict):
        if node.get("type") == "integer":
            bounds = {name: node[name] for name in _BOUNDS if isinstance(node.get(name), float)}
            node.update({name: MAX_ID if bound == float(MAX_ID) else int(bound) for name, bound in bounds.items()})
        for part in node.values():
            _restore_bounds(part)


def _restore_examples(paths: dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    """FastAPI drops null from the whole document, examples included."""
    for route in routing.iter_route_contexts(list(routes)):
        operations = paths.get(route.path or "", {})
        for method in route.methods or ():
            for status, response in getattr(route, "responses", {}).items():
                for media_type, content in response.get("content", {}).items():
                    if method.lower() in operations and "examples" in content:
                        described = operations[method.lower()]["responses"][str(status)]["content"][media_type]
                        described["examples"] = content["examples"]


def _add_components(components: dict[str, Any]) -> None:
    components["headers"] = _HEADERS
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    for model in (ErrorAnswer, RefusedStatistics):
        schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def _complete(operation: dict[str, Any], *, statistics: bool) -> None:
    """Adds the parts that all calls of its kind have."""
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)  # of FastAPI; ours is 400
    secured = bool(operation.get("security"))
    if "304" in responses:
        parameters = operation.setdefault("parameters", [])
        if _IF_NONE_MATCH not in parameters:
            parameters.append(_IF_NONE_MATCH)
    statuses = (
        500,
        *(_OF_EVERY_SECURED_CALL if secured else ()),
        *(_OF_EVERY_BODY if "requestBody" in operation else ()),
    )
    for status, response in error_responses(*statuses, statistics=statistics).items():
        responses.setdefault(str(status), response)
    for status, response in responses.items():
        limits = _LIMIT_HEADERS if secured and not statistics and status != "401" else ()
        response.setdefault("headers", {}).update(header_references(("X-Request-Id", *limits)))
