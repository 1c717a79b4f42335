"""`GET /api/link/v1|v2/clicks-by-group`: clicks and users of each group, on the links that are in it now."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.http.errors import StatisticsCode
from api.http.parameters import query_parameter
from api.statistics.common import Caller, Statistics, documented_responses, statistics_router
from api.statistics.group_list import Extra, page_extra
from api.statistics.parameters import (
    PAGES,
    RANGE,
    YMD,
    Days,
    invalid_parameter,
    not_found,
    parse_days,
    parse_groups,
    parse_page,
    parse_ymd,
    single_value,
)
from api.statistics.queries import NO_CLICKS, ClickCounts, read_groups
from rollups.clickhouse import ClickHouse


class GroupRow(TypedDict):
    grpIdx: int
    grpNm: str | None
    acesCnt: int
    pernCnt: int


class GroupClicksPage(TypedDict):
    extra: Extra
    list: list[GroupRow]


class GroupClicksAnswer(TypedDict):
    code: int
    message: str
    result: GroupClicksPage | None


_EXAMPLE: GroupClicksPage = {
    "extra": {"pages": 1, "nextPages": 1, "nextYn": "N", "count": 1, "totalCount": 1},
    "list": [{"grpIdx": 151, "grpNm": "Newsletter", "acesCnt": 181, "pernCnt": 164}],
}
_GROUPS = [
    query_parameter(
        "grpIdxList",
        {"type": "string", "pattern": r"^\d+(,\d+)*$", "examples": ["151,207,209"]},
        "Groups, comma-separated. Premium: required, at most 5. Business and up: left out, all groups.",
    )
]
_ALIAS = [query_parameter("grpIdx", {"type": "string", "examples": ["151,207"]}, "Another name of grpIdxList.")]
_CODES = (StatisticsCode.PARAMETER, StatisticsCode.PLAN, StatisticsCode.UNKNOWN)


class ClicksByGroup:
    """The handlers of both versions."""

    def __init__(self, statistics: Statistics, counts: ClickCounts, db: ClickHouse) -> None:
        self._statistics = statistics
        self._counts = counts
        self._db = db

    def router(self) -> APIRouter:
        router = statistics_router()
        router.get(
            "/api/link/v2/clicks-by-group",
            operation_id="clicksByGroup",
            summary="Clicks and unique users by group over several days. Premium and up",
            response_model=GroupClicksAnswer,
            responses=documented_responses(_EXAMPLE, *_CODES, StatisticsCode.RANGE),
            openapi_extra={"parameters": [*RANGE, *_GROUPS, *PAGES]},
        )(self.v2)
        router.get(
            "/api/link/v1/clicks-by-group",
            operation_id="clicksByGroupV1",
            summary="Clicks and unique users by group of a day. Premium and up",
            response_model=GroupClicksAnswer,
            responses=documented_responses(_EXAMPLE, *_CODES),
            openapi_extra={"parameters": [*YMD, *_GROUPS, *_ALIAS, *PAGES]},
        )(self.v1)
        return router

    async def v1(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            _check_plan(caller)
            day = parse_ymd(request.query_params)
            names = [name for name in ("grpIdxList", "grpIdx") if name in request.query_params]
            if len(names) > 1:
                raise invalid_parameter("grpIdxList and grpIdx are one parameter; give one of them.")
            name = names[0] if names else "grpIdxList"
            groups = parse_groups(single_value(request.query_params, name), name, caller.plan)
            page = parse_page(request.query_params)
            return await self._statistics.respond(request, caller, day, self._page, Days(day, day), groups, page)

    async def v2(self, request: Request) -> Response:
        async with self._statistics.caller(request) as caller:
            _check_plan(caller)
            days = parse_days(request.query_params, caller.plan)
            groups = parse_groups(single_value(request.query_params, "grpIdxList"), "grpIdxList", caller.plan)
            page = parse_page(request.query_params)
            return await self._statistics.respond(request, caller, days.last, self._page, days, groups, page)

    def _page(self, caller: Caller, days: Days, groups: tuple[int, ...] | None, number: int) -> GroupClicksPage:
        """Groups without clicks are listed too, so a page has the same groups whatever is clicked."""
        page = read_groups(self._db, caller.account_id, number, groups)
        if groups is not None and page.total < len(groups):
            raise not_found("group")
        ids = [group.grp_idx for group in page.groups]
        found = self._counts.by_group(caller.account_id, ids, days.first, days.last)
        rows: list[GroupRow] = []
        for group in page.groups:
            clicks, users = found.get(group.grp_idx, NO_CLICKS)
            rows.append({"grpIdx": group.grp_idx, "grpNm": group.name, "acesCnt": clicks, "pernCnt": users})
        return {"extra": page_extra(page), "list": rows}


def _check_plan(caller: Caller) -> None:
    if not caller.plan.whole_account:
        raise caller.not_in_plan("clicks by group")
