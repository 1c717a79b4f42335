"""Error responses: exceptions, the status of each, and the two envelopes.

The statistics calls respond with `{"code", "message", "result": null}`, all others with `{"error": {…}}`; never with a
stack trace or HTML.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any, NotRequired

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from api.dates import iso_utc
from api.http.headers import choose_request_id, default_headers, request_id
from ingest.errors import ClickmillError
from rollups.clickhouse import ClickHouseBusy, ClickHouseError, ClickHouseUnavailable, QueryTooLarge

log = logging.getLogger(__name__)

STATISTICS_PATHS = ("/api/statistics/", "/api/link/", "/api/link-group/")
RETRY_AFTER_SECONDS = 5
_TOO_LARGE = "This covers more than one answer may read; ask for fewer days, or for less of them."


class ApiError(ClickmillError):
    """An error of the client; `field` names the parameter, or the part of the body, at fault."""

    headers: Mapping[str, str] | None = None

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class RateLimited(ApiError):
    """Too many calls; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after)}


class BadRequest(ApiError):
    pass


class Unauthorized(ApiError):
    pass


class Forbidden(ApiError):
    pass


class NotFound(ApiError):
    pass


class StatisticsCode(IntEnum):
    """Business errors of the statistics calls, sent with HTTP 200. Any other error has 1000 + its status."""

    PARAMETER = 1001
    LINK_INCOMPLETE = 1002
    PLAN = 1003
    UNKNOWN = 1004
    RANGE = 1005


class StatisticsError(ClickmillError):
    def __init__(self, code: StatisticsCode, message: str) -> None:
        super().__init__(message)
        self.code = code


# The first class that matches an exception decides.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (StatisticsError, 200),
    (BadRequest, 400),
    (RequestValidationError, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (RateLimited, 429),
    (QueryTooLarge, 400),
    (ClickHouseUnavailable, 503),
    (ClickHouseError, 500),
    (Exception, 500),
)

CODES = {
    413: "PAYLOAD_TOO_LARGE",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
    503: "UNAVAILABLE",
}  # any other code is the name of its HTTP status


class ErrorDetail(TypedDict):
    code: str
    message: str
    timestamp: str
    request_id: str
    details: NotRequired[dict[str, str]]


class ErrorAnswer(TypedDict):
    error: ErrorDetail


class RefusedStatistics(TypedDict):
    code: int
    message: str
    result: None


@dataclass(frozen=True)
class Problem:
    """An error before it is put into an envelope."""

    status: int
    message: str
    number: int  # the statistics envelope's code
    field: str | None = None
    headers: Mapping[str, str] | None = None


def install_error_handlers(app: FastAPI) -> None:
    for error in (ApiError, StatisticsError, RequestValidationError, HTTPException, ClickHouseError, Exception):
        app.add_exception_handler(error, error_response)


async def error_response(request: Request, error: Exception) -> JSONResponse:
    """The response to a failed request, in the envelope of its path."""
    statistics = request.url.path.startswith(STATISTICS_PATHS)
    if statistics and isinstance(error, QueryTooLarge):
        error = StatisticsError(StatisticsCode.RANGE, _TOO_LARGE)
    problem = to_problem(error, scheme="APIKey" if statistics else "Bearer")
    headers = dict(problem.headers or {})
    if problem.status == 405 and (methods := allowed_methods(request.app, request.scope["path"])):
        headers["Allow"] = ", ".join(methods)
    identity = request_id(request)
    if problem.status >= 500:
        trace = None if isinstance(error, ClickHouseUnavailable) else error
        log.error("%s %r (request %s): %s", request.method, request.url.path, identity, error, exc_info=trace)
    body: Any = statistics_body(problem) if statistics else error_body(problem, identity, time.time())
    # The response to a bug is sent outside all middleware, so it lacks their headers.
    return JSONResponse(body, problem.status, headers={**headers, **default_headers(request.scope)})


def raw_error_response(status: int, message: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of an error for a request that did not reach the application."""
    scope = {"scheme": "http", "state": {"request_id": choose_request_id(None)}}
    headers = default_headers(scope)
    body = msgspec.json.encode(error_body(_problem(status, message), headers["X-Request-Id"], time.time()))
    return {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}, body


def to_problem(error: Exception, scheme: str) -> Problem:
    """Status and message of an exception; `scheme` is for the `WWW-Authenticate` of a 401."""
    if isinstance(error, HTTPException):
        return _problem(error.status_code, error.detail, headers=error.headers)
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    if isinstance(error, StatisticsError):
        return Problem(status, str(error), error.code)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return _problem(status, _validation_message(first), field=_field(first["loc"]))
    if isinstance(error, ApiError):
        headers = {"WWW-Authenticate": scheme} if status == 401 else error.headers
        return _problem(status, str(error), field=error.field, headers=headers)
    if isinstance(error, QueryTooLarge):
        return _problem(status, _TOO_LARGE)
    if status == 503:
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        away = "is too busy for this" if isinstance(error, ClickHouseBusy) else "cannot be reached"
        return _problem(status, f"The database {away} at the moment; try again.", headers=retry)
    return _problem(status, "Something went wrong on our side; the request id finds it in our log.")


def _problem(
    status: int, message: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    return Problem(status, message, 1000 + status, field, headers)


def _validation_message(fault: Mapping[str, Any]) -> str:
    """A fault that pydantic or FastAPI found in a body, as a sentence."""
    if fault["type"] == "json_invalid":
        return f"The body is not JSON: {fault['ctx']['error']} at character {fault['loc'][-1]}."
    if fault["loc"] == ("body",):
        return "A JSON object is required as the body, with Content-Type: application/json."
    return str(fault["msg"]).removeprefix("Value error, ")


def _field(location: tuple[int | str, ...]) -> str:
    """`("body", "links", 3, "domain")` → `links.3.domain`; `body` for a body that is not JSON."""
    parts = [str(part) for part in location[1:]]
    return "body" if location[:1] == ("body",) and (not parts or parts[0].isdigit()) else ".".join(parts)


def error_body(problem: Problem, identity: str, now: float) -> ErrorAnswer:
    error: ErrorDetail = {
        "code": CODES.get(problem.status, HTTPStatus(problem.status).name),
        "message": problem.message,
        "timestamp": iso_utc(now),
        "request_id": identity,
    }
    if problem.field is not None:
        error["details"] = {"field": problem.field}
    return {"error": error}


def statistics_body(problem: Problem) -> RefusedStatistics:
    return {"code": int(problem.number), "message": problem.message, "result": None}


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """The methods of all routes of a path, sorted; Starlette would name those of the first route only."""
    found = {
        method
        for route in iter_route_contexts(app.routes)
        if route.path_regex.match(path)
        for method in route.methods or ()
    }
    return sorted(found | {"HEAD"} if "GET" in found else found)
