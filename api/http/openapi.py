"""The OpenAPI document: what calls share in it, said once.

A call declares what is its own: `responses={**answered(…), **refused(400)}` and, in `openapi_extra`, its `parameters`
and `security`. `Documented` then adds what every call has: the request id on each answer, and to calls that want a
credential the refusals of credentials, limits and database, in the envelope of their path.
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

# A value of `security` in `openapi_extra`: any one of the credentials will do.
CLICKS_SECURITY: list[dict[str, list[str]]] = [{"X-Api-Key": []}, {"Bearer": []}, {"api_key": []}]

_SCHEMES: dict[str, dict[str, str]] = {
    "X-Api-Key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The API key, as a bearer token."},
    "api_key": {"type": "apiKey", "in": "query", "name": "api_key", "description": "For old clients: URLs get logged."},
    "APIKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`APIKey KEY`, with the key of an account. A `User-Agent` is required too.",
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

# What is meant, an example's words, the headers that come with it.
_REFUSALS: dict[int, tuple[str, str, tuple[str, ...]]] = {
    400: ("A parameter or the body is wrong; `details.field` says which part.", "start_date is required.", ()),
    401: ("The credential is missing or wrong.", "A valid API key is required.", ("WWW-Authenticate",)),
    403: ("The caller is known, or its User-Agent is, and may not ask this.", "This key has no access.", ()),
    404: ("There is no such thing.", "There is no key with this id.", ()),
    408: ("The body did not come in time.", "The body did not come in time; send it again.", ()),
    413: ("The body is too large.", "The body is too large; send several.", ()),
    429: ("Over the limit.", "Too many requests: try again in 7 seconds.", ("Retry-After",)),
    500: ("A fault of ours.", "Something went wrong on our side; the request id finds it in our log.", ()),
    503: ("The database cannot be reached.", "The database cannot be reached at the moment.", ("Retry-After",)),
}
_OF_EVERY_SECURED_CALL = (401, 403, 429, 503)
_OF_EVERY_BODY = (408, 413)


def answered(description: str, examples: Mapping[str, Any]) -> Responses:
    """200 and 304 of a call that answers data, with named examples (`{"summary", "value"}`) of its body."""
    headers = header_references(DATA_HEADERS)
    return {
        200: {"description": description, "headers": headers, "content": {JSON: {"examples": dict(examples)}}},
        304: {"description": "Unchanged since the answer whose ETag the caller named.", "headers": headers},
    }


def example(status: int, value: Any) -> Responses:
    """An example of the body that comes with this status; the rest of it is FastAPI's."""
    return {status: {"content": {JSON: {"examples": {"example": {"value": value}}}}}}


def refused(*statuses: int, statistics: bool = False) -> Responses:
    """Refusals with these statuses, in the envelope of the statistics calls or in that of all others."""
    return {status: _refusal(status, statistics) for status in statuses}


def header_references(names: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


class Documented(FastAPI):
    """An application whose document says everything that it may answer."""

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

    @router.get(
        "/api/v1/schema",
        operation_id="getSchema",
        summary="This OpenAPI document",
        response_model=dict[str, Any],
        responses=example(200, {"openapi": "3.1.0", "info": {"title": "Clickmill", "version": "1"}, "paths": {}}),
    )
    def get_schema(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    return router


def _refusal(status: int, statistics: bool) -> dict[str, Any]:
    meaning, words, headers = _REFUSALS[status]
    problem = Problem(status, words, 1000 + status, field="start_date" if status == 400 else None)
    example: Any = statistics_body(problem) if statistics else error_body(problem, "3f2b8c", 1_774_958_400)
    schema = {"$ref": f"#/components/schemas/{(RefusedStatistics if statistics else ErrorAnswer).__name__}"}
    return {
        "description": meaning,
        "headers": header_references(headers),
        "content": {JSON: {"schema": schema, "example": example}},
    }


def _restore_bounds(node: Any) -> None:
    """FastAPI keeps bounds as floats, which make 2^63 of the largest id, 2^63 - 1."""
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
    """FastAPI drops null from all of the document, examples included."""
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
    """Adds what every answer has."""
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)  # FastAPI's own; ours is 400
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
    for status, refusal in refused(*statuses, statistics=statistics).items():
        responses.setdefault(str(status), refusal)
    for status, response in responses.items():
        limits = _LIMIT_HEADERS if secured and not statistics and status != "401" else ()
        response.setdefault("headers", {}).update(header_references(("X-Request-Id", *limits)))
