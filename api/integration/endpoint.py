"""`GET /api/v1/integration`: from a sentence to a request and the code that makes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Literal, cast, get_args

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from typing_extensions import TypedDict

from api.dates import parse_day
from api.http.errors import BadRequest, RateLimited
from api.http.failed_auth_throttle import LeakyBuckets, network_of
from api.http.openapi import error_responses, example_response
from api.http.parameters import query_parameter
from api.integration.calls import CALLS, FORMATS, MAIN, UNKEYED, Call
from api.integration.needs import Need, Parameters, understand
from api.integration.samples import KEY, Language, sample

MAX_NEED = 500
PER_SECOND, BURST = 5.0, 30  # of one address
ALL_PER_SECOND, ALL_BURST = 20.0, 60


class Understood(TypedDict):
    call: str | None
    parameters: Parameters
    format: str | None


class HttpRequest(TypedDict):
    method: Literal["GET"]
    path: str
    headers: dict[str, str]
    query: Parameters


class Alternative(TypedDict):
    call: str
    path: str
    summary: str


class Integration(TypedDict):
    understood: Understood
    unclear: list[str]
    request: HttpRequest | None
    code: str | None
    alternatives: list[Alternative]


EXAMPLE_NEED = "clicks of publisher 1338 in March as CSV"
_PARAMETERS = [
    query_parameter(
        "need",
        {"type": "string", "minLength": 1, "maxLength": MAX_NEED, "examples": [EXAMPLE_NEED]},
        "What is wanted, in a sentence: English, Korean, Spanish, Portuguese, German or Japanese.",
        required=True,
    ),
    query_parameter(
        "language", {"type": "string", "enum": list(get_args(Language)), "default": "curl"}, "Language of the code."
    ),
    query_parameter(
        "today",
        {"type": "string", "format": "date", "examples": ["2026-03-31"]},
        "The day that `yesterday` and the like are counted from; by default today, in UTC.",
    ),
]


def integration(need: str, language: Language, today: date, base_url: str) -> Integration:
    """The answer for a sentence. `base_url` ends with a slash. Depends on nothing else."""
    found = understand(need, today)
    if found.call is None:
        nothing: Understood = {"call": None, "parameters": {}, "format": None}
        return _answer(nothing, found.unclear, None, None, MAIN)
    request = http_request(found, found.call)
    code = sample(language, base_url + request["path"][1:], request["query"], request["headers"])
    understood: Understood = {"call": found.call.name, "parameters": found.parameters, "format": found.format}
    return _answer(understood, found.unclear, request, code, found.call.near)


def _answer(
    understood: Understood, unclear: list[str], request: HttpRequest | None, code: str | None, near: tuple[str, ...]
) -> Integration:
    return {
        "understood": understood,
        "unclear": unclear,
        "request": request,
        "code": code,
        "alternatives": alternatives(near),
    }


def alternatives(names: tuple[str, ...]) -> list[Alternative]:
    return [{"call": name, "path": CALLS[name].path, "summary": CALLS[name].summary} for name in names]


def http_request(need: Need, call: Call) -> HttpRequest:
    headers = {} if call.name in UNKEYED else {"X-Api-Key": KEY}
    if call.statistics:
        headers = {"Authorization": f"APIKey {KEY}", "User-Agent": "my-integration/1.0"}
    if need.format != "json":
        headers["Accept"] = FORMATS[need.format]
    return {"method": "GET", "path": call.path, "headers": headers, "query": need.parameters}


# Written down, as working it out here would load dateparser at the start; a test compares it.
_QUERY: Parameters = {"start_date": "2026-03-01", "end_date": "2026-03-31", "publisher_id": 1338}
_HEADERS = {"X-Api-Key": KEY, "Accept": "text/csv"}
EXAMPLE: Integration = {
    "understood": {"call": "listClicks", "parameters": _QUERY, "format": "csv"},
    "unclear": [],
    "request": {"method": "GET", "path": "/api/v1/clicks", "headers": _HEADERS, "query": _QUERY},
    "code": sample("curl", "https://clicks.example/api/v1/clicks", _QUERY, _HEADERS),
    "alternatives": alternatives(CALLS["listClicks"].near),
}
_RESPONSES = {**example_response(200, EXAMPLE), **error_responses(400, 429)}


class IntegrationEndpoint:
    """The handler. It needs no key, so calls of an address and of all are limited."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._all = LeakyBuckets(PER_SECOND, BURST, clock), LeakyBuckets(ALL_PER_SECOND, ALL_BURST, clock)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["discovery"])
        router.get(
            "/api/v1/integration",
            operation_id="getIntegration",
            summary="From a sentence to a request and the code that makes it",
            response_model=Integration,
            responses=_RESPONSES,
            openapi_extra={"parameters": _PARAMETERS},
        )(self.get_integration)
        return router

    def get_integration(self, request: Request) -> Integration:
        query = request.query_params
        need, language, today = _need(query), _language(query), _today(query)
        self._limit(request.client.host if request.client else "")
        return integration(need, language, today, str(request.base_url))

    def _limit(self, address: str) -> None:
        if self._each.add(network_of(address)) or self._all.add(""):
            raise RateLimited("Too many sentences at once: try again in a second.", 1)


def _need(query: QueryParams) -> str:
    need = query.get("need", "")
    if not need.strip():
        raise BadRequest("need is required: say in a sentence what you want.", field="need")
    if len(need) > MAX_NEED:
        raise BadRequest(f"need may have at most {MAX_NEED} characters.", field="need")
    return need


def _language(query: QueryParams) -> Language:
    given = query.get("language", "curl")
    if given not in get_args(Language):
        raise BadRequest(f"language must be one of {', '.join(get_args(Language))}.", field="language")
    return cast(Language, given)


def _today(query: QueryParams) -> date:
    if "today" not in query:
        return datetime.now(UTC).date()
    day = parse_day(query["today"])
    if day is None or not 1990 <= day.year <= 2100:
        raise BadRequest("today must be a date from 1990 to 2100, as YYYY-MM-DD.", field="today")
    return day
