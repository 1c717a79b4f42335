"""Shared by series and top: who may ask, where a comparison is cut, and the response in each format."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Request, Response

from api.catalog.callers import Callers, owner_asked_for
from api.dates import iso_utc
from api.http.conditional import ResponseBody, conditional_response, day_has_ended, strong_etag
from api.http.errors import Forbidden
from api.http.negotiation import preferred_media_type
from api.http.openapi import JSON, Responses, error_responses, success_responses
from api.http.tabular import CSV, CSV_CONTENT_TYPE, csv_header, csv_line
from api.insights.buckets import DAY, cut_hour, instant, wall_hour
from api.insights.parameters import Selection, parse_selection
from api.query.response_cache import ResponseCache

NDJSON = "application/x-ndjson"
_CONTENT_TYPES = {JSON: JSON, CSV: CSV_CONTENT_TYPE, NDJSON: NDJSON}
_STEP_SECONDS = 900  # clocks of all zones show full quarters at full quarters of UTC

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A selection, its zone, and the time up to which its clicks are counted.

    `counted_to` is a quarter of an hour, at most the end of the selection, so that a response that time does not
    change can be cached; None: unknown. `cut` is the wall hour at which comparisons are cut, None for a range that
    has ended.
    """

    selection: Selection
    zone: ZoneInfo
    counted_to: datetime | None
    cut: int | None

    def instant(self, wall: int) -> datetime:
        """When a wall hour begins, in the zone."""
        return datetime.fromtimestamp(instant(wall, self.zone), self.zone)

    @property
    def end(self) -> int:
        """The wall hour after the selection."""
        return wall_hour(self.selection.last) + DAY


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of a response. `meta` lacks `as_of`, which changes all the time; `table` is for the other formats."""

    parts: Mapping[str, Any]
    meta: Mapping[str, Any]
    table: Rows
    columns: Sequence[str]


class Insights:
    """Reads requests and responds to them. For one event loop."""

    def __init__(self, callers: Callers, cache: ResponseCache) -> None:
        self._callers = callers
        self._cache = cache

    async def asked(self, request: Request) -> Asked:
        """Raises Unauthorized, Forbidden, RateLimited, BadRequest, ClickHouseUnavailable."""
        principal = await self._callers.authenticate(request)
        if principal.account_id is not None:
            plan = (await self._callers.account(principal.account_id)).plan
            if not plan.statistics:
                raise Forbidden(f"The {plan.name} plan has no statistics.")
        selection = parse_selection(request.query_params, owner_asked_for(principal, request.query_params))
        zone, as_of = await self._callers.zone(selection.owner), await self._cache.as_of()
        end = instant(wall_hour(selection.last) + DAY, zone)
        reached = None if as_of is None else min(int(as_of) // _STEP_SECONDS * _STEP_SECONDS, end)
        moment = time.time() if as_of is None else as_of
        cut = cut_hour(selection.last, moment, zone, whole_days=selection.account_id is None)
        counted_to = None if reached is None else datetime.fromtimestamp(reached, UTC)
        return Asked(selection=selection, zone=zone, counted_to=counted_to, cut=cut)

    async def respond(
        self, request: Request, asked: Asked, read: Callable[..., Answer], *arguments: Hashable
    ) -> Response:
        """`read(asked, *arguments)` in the format that the client prefers; the rest as `ResponseCache.get`."""
        media_type = preferred_media_type(request.headers.getlist("accept"), (JSON, CSV, NDJSON))
        last = asked.selection.last
        body, as_of = await self._cache.get(
            _encoded, media_type, read, asked, *arguments, last_day=last, size=lambda body: body.size
        )
        if media_type == JSON:
            body = _with_as_of(body, None if as_of is None else iso_utc(as_of))
        return conditional_response(request, body, as_of, closed=day_has_ended(last, asked.zone))


def _encoded(media_type: str, read: Callable[..., Answer], *arguments: Hashable) -> ResponseBody:
    answer = read(*arguments)
    if media_type == JSON:
        content = msgspec.json.encode({**answer.parts, "meta": answer.meta})
    elif media_type == CSV:
        lines = (csv_line(row[column] for column in answer.columns) for row in answer.table)
        content = csv_header(answer.columns) + b"".join(lines)
    else:
        content = msgspec.json.Encoder().encode_lines(answer.table)
    return ResponseBody(content, strong_etag(content), _CONTENT_TYPES[media_type])


def _with_as_of(body: ResponseBody, as_of: str | None) -> ResponseBody:
    """The body with `as_of` at the end of `meta`, its last part. Two that differ in it only are the same (RFC 9110,
    8.8.1), so the validator is weak."""
    content = body.content.removesuffix(b"}}") + b',"as_of":' + msgspec.json.encode(as_of) + b"}}"
    return ResponseBody(content, f"W/{body.etag}", body.media_type)


def documented_responses(description: str, examples: Mapping[str, Any], csv: str, row: Mapping[str, Any]) -> Responses:
    """The OpenAPI entries of all statuses, with examples in each format."""
    responses = success_responses(description, examples)
    responses[200]["content"] |= {
        CSV: {"schema": {"type": "string"}, "examples": {"file": {"value": csv}}},
        NDJSON: {
            "schema": {"type": "string", "description": "An object a line."},
            "examples": {"file": {"value": msgspec.json.encode(row).decode() + "\n"}},
        },
    }
    return {**responses, **error_responses(400, 404)}
