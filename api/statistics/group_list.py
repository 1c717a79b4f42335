"""`GET /api/link-group/v1|v2/list`: the groups of an account."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams
from typing_extensions import TypedDict

from api.http.errors import StatisticsCode
from api.http.parameters import query_parameter
from api.statistics.common import Caller, Statistics, documented_responses, statistics_router
from api.statistics.parameters import PAGES, not_found, parse_group, parse_page, single_value
from api.statistics.queries import PAGE_SIZE, Group, Page, read_groups
from rollups.clickhouse import ClickHouse


class GroupItem(TypedDict):
    """Notifications and webhooks are features of the original that Clickmill has not: never on."""

    idx: int
    nm: str | None
    memo: str | None
    linkCnt: int
    blockOverseasSticsYn: Literal["N"]
    notfSubscYn: Literal["N"]
    qrBypassYn: Literal["N"]
    kakaoNotifyYn: Literal["N"]
    pushNotifyYn: Literal["N"]
    mailNotifyYn: Literal["N"]
    webhookEnableYn: Literal["N"]
    webhookCallbackUrl: None
    webhookMetric: None
    webhookFrequency: None
    regYmdt: str | None
    modYmdt: str | None


class Extra(TypedDict):
    """`nextPages` is `pages` on the last page, where `nextYn` is `N`."""

    pages: int
    nextPages: int
    nextYn: Literal["Y", "N"]
    count: int
    totalCount: int


class GroupPage(TypedDict):
    extra: Extra
    list: list[GroupItem]


class GroupPageAnswer(TypedDict):
    code: int
    message: str
    result: GroupPage | None


class GroupListAnswer(TypedDict):
    code: int
    message: str
    result: list[GroupItem] | None


def page_extra(page: Page) -> Extra:
    more = page.number * PAGE_SIZE < page.total
    return {
        "pages": page.number,
        "nextPages": page.number + more,
        "nextYn": "Y" if more else "N",
        "count": len(page.groups),
        "totalCount": page.total,
    }


def group_item(group: Group, zone: ZoneInfo) -> GroupItem:
    return {
        "idx": group.grp_idx,
        "nm": group.name,
        "memo": group.memo,
        "linkCnt": group.links,
        "blockOverseasSticsYn": "N",
        "notfSubscYn": "N",
        "qrBypassYn": "N",
        "kakaoNotifyYn": "N",
        "pushNotifyYn": "N",
        "mailNotifyYn": "N",
        "webhookEnableYn": "N",
        "webhookCallbackUrl": None,
        "webhookMetric": None,
        "webhookFrequency": None,
        "regYmdt": _local_time(group.created_at, zone),
        "modYmdt": _local_time(group.modified_at, zone),
    }


def _local_time(seconds: int | None, zone: ZoneInfo) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S")


_FILTERS = [
    query_parameter("grpIdx", {"type": "integer", "minimum": 1, "examples": [151]}, "Only this group."),
    query_parameter("nm", {"type": "string", "examples": ["news"]}, "Part of the name, in upper or lower case."),
]
_CODES = (StatisticsCode.PARAMETER, StatisticsCode.UNKNOWN)
_ITEM = group_item(
    Group(
        grp_idx=151,
        name="Newsletter",
        memo="Every Friday",
        links=68,
        created_at=1_745_107_200,
        modified_at=1_745_193_600,
    ),
    ZoneInfo("UTC"),
)
_PAGE: Extra = {"pages": 1, "nextPages": 1, "nextYn": "N", "count": 1, "totalCount": 1}


class GroupList:
    """The handlers of both versions."""

    def __init__(self, statistics: Statistics, db: ClickHouse) -> None:
        self._statistics = statistics
        self._db = db

    def router(self) -> APIRouter:
        router = statistics_router()
        router.get(
            "/api/link-group/v2/list",
            operation_id="listGroups",
            summary="Groups of links, page by page",
            response_model=GroupPageAnswer,
            responses=documented_responses({"extra": _PAGE, "list": [_ITEM]}, *_CODES),
            openapi_extra={"parameters": [*_FILTERS, *PAGES]},
        )(self.v2)
        router.get(
            "/api/link-group/v1/list",
            operation_id="listGroupsV1",
            summary="The first 30 groups of links",
            response_model=GroupListAnswer,
            responses=documented_responses([_ITEM], *_CODES),
            openapi_extra={"parameters": _FILTERS},
        )(self.v1)
        return router

    async def v1(self, request: Request) -> Response:
        caller = await self._statistics.account(request)
        only, part = _filters(request.query_params)
        return await self._statistics.respond(request, caller, None, self._first_groups, only, part)

    async def v2(self, request: Request) -> Response:
        caller = await self._statistics.account(request)
        only, part = _filters(request.query_params)
        page = parse_page(request.query_params)
        return await self._statistics.respond(request, caller, None, self._page, only, part, page)

    def _first_groups(self, caller: Caller, only: int | None, part: str) -> list[GroupItem]:
        return self._page(caller, only, part, 1)["list"]

    def _page(self, caller: Caller, only: int | None, part: str, number: int) -> GroupPage:
        ids = None if only is None else [only]
        page = read_groups(self._db, caller.account_id, number, ids, part)
        if ids and not page.total and not read_groups(self._db, caller.account_id, 1, ids).total:
            raise not_found("group")
        return {"extra": page_extra(page), "list": [group_item(group, caller.zone) for group in page.groups]}


def _filters(parameters: QueryParams) -> tuple[int | None, str]:
    """The only group, None for all, and a part of the name."""
    group = single_value(parameters, "grpIdx")
    return None if group is None else parse_group(group), single_value(parameters, "nm") or ""
