"""`GET /api/statistics/v1|v2/clicks-by-date`: clicks and users by day of a link, a group or an account."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.catalog.scopes import LinkScope, Scope
from api.http.errors import StatisticsCode
from api.local_hours import local_hours
from api.statistics.common import Caller, Statistics, documented_responses, statistics_router
from api.statistics.parameters import (
    FILL_DAYS,
    LINK,
    RANGE,
    SCOPE,
    Days,
    parse_days,
    parse_fill,
    parse_link,
    parse_scope,
)
from api.statistics.queries import NO_CLICKS, ClickCount, ClickCounts


class DayRow(TypedDict):
    ymd: str
    acesCnt: int
    pernCnt: int


class LinkDayRow(TypedDict):
    ymd: str
    linkId: str
    domain: str
    acesCnt: int
    pernCnt: int


class DailyAnswer(TypedDict):
    code: int
    message: str
    result: list[DayRow] | None


class LinkDailyAnswer(TypedDict):
    code: int
    message: str
    result: list[LinkDayRow] | None


_V2: DayRow = {"ymd": "2025-04-20", "acesCnt": 384, "pernCnt": 295}
_V1: LinkDayRow = {
    "ymd": "2025-04-20",
    "linkId": "hello",
    "domain": "https://vvd.bz",
    "acesCnt": 384,
    "pernCnt": 295,
}


class ClicksByDate:
    """The handlers of both versions."""

    def __init__(self, statistics: Statistics, counts: ClickCounts) -> None:
        self._statistics = statistics
        self._counts = counts

    def router(self) -> APIRouter:
        router = statistics_router()
        router.get(
            "/api/statistics/v2/clicks-by-date",
            operation_id="clicksByDate",
            summary="Clicks and unique users by day",
            response_model=DailyAnswer,
            responses=documented_responses([_V2], *StatisticsCode),
            openapi_extra={"parameters": [*RANGE, *SCOPE, *FILL_DAYS]},
        )(self.v2)
        router.get(
            "/api/statistics/v1/clicks-by-date",
            operation_id="clicksByDateV1",
            summary="Clicks and unique users of a link by day. Business and up",
            response_model=LinkDailyAnswer,
            responses=documented_responses([_V1], *StatisticsCode),
            openapi_extra={"parameters": [*RANGE, *LINK, *FILL_DAYS]},
        )(self.v1)
        return router

    async def v1(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            caller.require_first_version()
            days = parse_days(request.query_params, caller.plan)
            link = parse_link(request.query_params)
            fill = parse_fill(request.query_params)
            return await self._statistics.respond(request, caller, days.last, self._link_rows, link, days, fill)

    async def v2(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            days = parse_days(request.query_params, caller.plan)
            scope = parse_scope(request.query_params, caller.plan)
            fill = parse_fill(request.query_params)
            return await self._statistics.respond(request, caller, days.last, self._rows, scope, days, fill)

    def _rows(self, caller: Caller, scope: Scope, days: Days, fill: bool) -> list[DayRow]:
        return [
            {"ymd": day.isoformat(), "acesCnt": count.clicks, "pernCnt": count.users}
            for day, count in self._days(caller, scope, days, fill)
        ]

    def _link_rows(self, caller: Caller, link: LinkScope, days: Days, fill: bool) -> list[LinkDayRow]:
        return [
            {
                "ymd": day.isoformat(),
                "linkId": link.link_id,
                "domain": link.domain,
                "acesCnt": count.clicks,
                "pernCnt": count.users,
            }
            for day, count in self._days(caller, link, days, fill)
        ]

    def _days(self, caller: Caller, scope: Scope, days: Days, fill: bool) -> list[tuple[date, ClickCount]]:
        """The days with clicks, ascending; with `fill` also all other days that the caller's zone has in the range."""
        found = self._counts.by_day(caller.account_id, scope, days.first, days.last)
        listed = set(found)
        if fill:
            listed |= {day for day in days.all() if local_hours(day, caller.zone)}
        return [(day, found.get(day, NO_CLICKS)) for day in sorted(listed)]
