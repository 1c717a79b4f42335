"""`GET /api/statistics/v1|v2|v3/clicks-by-hour`: clicks and users by hour of a link, a group or an account."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import Literal, NotRequired
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.catalog.scopes import LinkScope, Scope
from api.http.conditional import ResponseBody, conditional_response, day_has_ended
from api.http.errors import StatisticsCode
from api.local_hours import local_hours
from api.statistics.common import Caller, Statistics, documented_responses, envelope, statistics_router
from api.statistics.parameters import (
    FILL_HOURS,
    LINK,
    RANGE,
    SCOPE,
    YMD,
    Days,
    parse_days,
    parse_fill,
    parse_link,
    parse_scope,
    parse_ymd,
)
from api.statistics.queries import NO_CLICKS, ClickCount, ClickCounts

HourStatus = Literal["final", "open", "future"]

_ROW_BYTES = 300  # of a cached hour


class HourRow(TypedDict):
    ymd: str
    hour: int
    acesCnt: int
    pernCnt: int


class StatusHourRow(HourRow):
    """`status` comes with `fill=1` only: `final`, everything is counted; `open`; `future`, it has not begun."""

    status: NotRequired[HourStatus]


class LinkHourRow(TypedDict):
    ymd: str
    hour: str
    linkId: str
    domain: str
    acesCnt: int
    pernCnt: int


class HourlyAnswer(TypedDict):
    code: int
    message: str
    result: list[HourRow] | None


class StatusHourlyAnswer(TypedDict):
    code: int
    message: str
    result: list[StatusHourRow] | None


class LinkHourlyAnswer(TypedDict):
    code: int
    message: str
    result: list[LinkHourRow] | None


_V2: HourRow = {"ymd": "2025-04-20", "hour": 0, "acesCnt": 24, "pernCnt": 17}
_V3: StatusHourRow = {**_V2, "status": "final"}
_V1: LinkHourRow = {
    "ymd": "2025-04-20",
    "hour": "0",
    "linkId": "hello",
    "domain": "https://vvd.bz",
    "acesCnt": 24,
    "pernCnt": 17,
}

_CODES = (StatisticsCode.PARAMETER, StatisticsCode.LINK_INCOMPLETE, StatisticsCode.PLAN, StatisticsCode.UNKNOWN)


class ClicksByHour:
    """The handlers of the three versions."""

    def __init__(self, statistics: Statistics, counts: ClickCounts) -> None:
        self._statistics = statistics
        self._counts = counts

    def router(self) -> APIRouter:
        router = statistics_router()
        router.get(
            "/api/statistics/v2/clicks-by-hour",
            operation_id="clicksByHour",
            summary="Clicks and unique users by hour of a day",
            response_model=HourlyAnswer,
            responses=documented_responses([_V2], *_CODES),
            openapi_extra={"parameters": [*YMD, *SCOPE, *FILL_HOURS]},
        )(self.v2)
        router.get(
            "/api/statistics/v1/clicks-by-hour",
            operation_id="clicksByHourV1",
            summary="Clicks and unique users of a link by hour of a day. Business and up",
            response_model=LinkHourlyAnswer,
            responses=documented_responses([_V1], *_CODES),
            openapi_extra={"parameters": [*YMD, *LINK, *FILL_HOURS]},
        )(self.v1)
        router.get(
            "/api/statistics/v3/clicks-by-hour",
            operation_id="clicksByHourV3",
            summary="Clicks and unique users by hour of several days",
            response_model=StatusHourlyAnswer,
            responses=documented_responses([_V3], *_CODES, StatisticsCode.RANGE),
            openapi_extra={"parameters": [*RANGE, *SCOPE, *FILL_HOURS]},
        )(self.v3)
        return router

    async def v1(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            caller.require_first_version()
            day = parse_ymd(request.query_params)
            link = parse_link(request.query_params)
            fill = parse_fill(request.query_params)
            return await self._statistics.respond(request, caller, day, self._link_rows, link, Days(day, day), fill)

    async def v2(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            day = parse_ymd(request.query_params)
            scope = parse_scope(request.query_params, caller.plan)
            fill = parse_fill(request.query_params)
            return await self._statistics.respond(request, caller, day, self._rows, scope, Days(day, day), fill)

    async def v3(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            days = parse_days(request.query_params, caller.plan)
            scope = parse_scope(request.query_params, caller.plan)
            if parse_fill(request.query_params):
                return await self._respond_with_status(request, caller, scope, days)
            return await self._statistics.respond(request, caller, days.last, self._rows, scope, days, False)

    async def _respond_with_status(self, request: Request, caller: Caller, scope: Scope, days: Days) -> Response:
        """Caches the counts only: the status of an hour changes with time."""
        hours, as_of = await self._statistics.cache.get(
            self._hours, caller, scope, days, True, last_day=days.last, size=lambda hours: len(hours) * _ROW_BYTES
        )
        now = time.time()
        rows: list[StatusHourRow] = [
            {**_row(day, hour, count), "status": hour_status(day, hour, caller.zone, as_of=as_of, now=now)}
            for day, hour, count in hours
        ]
        closed = day_has_ended(days.last, caller.zone) and all(row["status"] == "final" for row in rows)
        return conditional_response(request, ResponseBody.of(envelope(rows)), as_of, closed=closed)

    def _rows(self, caller: Caller, scope: Scope, days: Days, fill: bool) -> list[HourRow]:
        return [_row(*hour) for hour in self._hours(caller, scope, days, fill)]

    def _link_rows(self, caller: Caller, link: LinkScope, days: Days, fill: bool) -> list[LinkHourRow]:
        return [_link_row(link, *hour) for hour in self._hours(caller, link, days, fill)]

    def _hours(self, caller: Caller, scope: Scope, days: Days, fill: bool) -> list[tuple[date, int, ClickCount]]:
        """The hours with clicks, ascending; with `fill` also all other local hours of the days."""
        found = self._counts.by_hour(caller.account_id, scope, days.first, days.last)
        listed = set(found)
        if fill:
            listed |= {(day, local.hour) for day in days.all() for local in local_hours(day, caller.zone)}
        return [(day, hour, found.get((day, hour), NO_CLICKS)) for day, hour in sorted(listed)]


def hour_status(day: date, hour: int, zone: ZoneInfo, *, as_of: float | None, now: float) -> HourStatus:
    """`final` once all clicks of the hour are counted: it ended before the click time `as_of` (None: unknown).

    Times are seconds since 1970.
    """
    local = next((local for local in local_hours(day, zone) if local.hour == hour), None)
    if local:
        starts, ends = local.starts, local.ends
    else:  # clicks from before the account changed its zone, in an hour that the day does not have in the new one
        starts = int(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp())
        ends = starts + 3600
    if starts > now:
        return "future"
    return "final" if as_of is not None and ends <= as_of else "open"


def _row(day: date, hour: int, count: ClickCount) -> HourRow:
    return {"ymd": day.isoformat(), "hour": hour, "acesCnt": count.clicks, "pernCnt": count.users}


def _link_row(link: LinkScope, day: date, hour: int, count: ClickCount) -> LinkHourRow:
    return {
        "ymd": day.isoformat(),
        "hour": str(hour),
        "linkId": link.link_id,
        "domain": link.domain,
        "acesCnt": count.clicks,
        "pernCnt": count.users,
    }
