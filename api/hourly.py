"""`GET /api/statistics/v2/clicks-by-hour`: clicks and users by hour, of a link, a group or an account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response, Security
from fastapi.security import APIKeyHeader
from typing_extensions import TypedDict

from api.access import blocked_agents, statistics_caller
from api.answers import Answers
from api.catalog import Catalog
from api.conditional import Body, is_over, reply
from api.dates import local_hours, stored_range
from api.freshness import EVERYTHING
from api.hourly_query import (
    PARAMETERS,
    AccountScope,
    GroupScope,
    LinkScope,
    Scope,
    parse_hourly_query,
    unknown,
)
from api.keys import KeyRing
from ingest.settings import Settings
from rollups.store import Row, Store

_IN_GROUP = "account_id = {account:UInt64} AND grp_idx = {group:UInt64}"


class HourRow(TypedDict):
    ymd: str
    hour: int
    acesCnt: int
    pernCnt: int


class HourlyAnswer(TypedDict):
    code: int
    message: str
    result: list[HourRow] | None


REFUSED: dict[int | str, dict[str, Any]] = {"default": {"model": HourlyAnswer, "description": "A refusal"}}


def hourly_router(store: Store, settings: Settings, keys: KeyRing, catalog: Catalog, answers: Answers) -> APIRouter:
    router = APIRouter(tags=["statistics"], responses=REFUSED)
    blocked = blocked_agents(settings.blocked_user_agents)

    @router.get(
        "/api/statistics/v2/clicks-by-hour",
        operation_id="clicksByHour",
        summary="Clicks and unique users by hour",
        response_model=HourlyAnswer,
        openapi_extra={"parameters": PARAMETERS},
        dependencies=[
            Security(
                APIKeyHeader(name="Authorization", description="`APIKey KEY`", scheme_name="APIKey", auto_error=False)
            )
        ],
    )
    async def clicks_by_hour(request: Request) -> Response:
        account_id = await statistics_caller(request, keys, blocked)
        account, _ = await answers.get(
            ("account", account_id), EVERYTHING, lambda: catalog.account(account_id), lambda _: 500
        )
        query = parse_hourly_query(request.query_params, account.plan)
        zone = account.zone if query.fill else None

        def hours() -> Body:
            rows = read_hours(store, account_id, query.day, query.scope)
            if not rows and not scope_exists(store, account_id, query.scope):
                raise unknown("link" if isinstance(query.scope, LinkScope) else "group")
            served: HourlyAnswer = {"code": 0, "message": "", "result": hour_rows(query.day, rows, zone)}
            return Body.of(served)

        body, header = await answers.get(("hours", account_id, query, zone), query.day, hours, lambda body: body.size)
        return reply(request, body, header, closed=is_over(query.day, account.zone))

    return router


def hour_rows(day: date, rows: Iterable[Row], fill: ZoneInfo | None) -> list[HourRow]:
    """The hours with clicks, ascending; with a zone to fill by, every hour that the day has there as well."""
    counts = {hour: (clicks, users) for hour, clicks, users in rows}
    hours = counts.keys() | (local_hours(day, fill) if fill else [])
    ymd = day.isoformat()
    return [
        {"ymd": ymd, "hour": hour, "acesCnt": clicks, "pernCnt": users}
        for hour in sorted(hours)
        for clicks, users in [counts.get(hour, (0, 0))]
    ]


def read_hours(store: Store, account_id: int, day: date, scope: Scope) -> list[Row]:
    """Hour, clicks and unique users, of the hours with clicks."""
    if stored_range(day, day) is None:
        return []
    condition, parameters = _condition(scope)
    # Beyond 65,536 users `uniq` is an estimate, which may exceed the clicks where nearly every click is a new
    # user; `least` keeps the promise that there are never more users than clicks.
    return list(
        store.query(
            "SELECT hour, sum(clicks) AS click_count, least(uniqMerge(users), click_count) FROM rollup "
            f"WHERE {condition} AND owner = {{account:UInt64}} AND day = {{day:Date}} "
            "GROUP BY hour HAVING click_count > 0",
            {"account": account_id, "day": day, **parameters},
        )
    )


def _condition(scope: Scope) -> tuple[str, dict[str, Any]]:
    """What picks the rows of a scope, with the parameters that it binds besides `account`."""
    match scope:
        case LinkScope(domain, link_id):
            condition = "grain = 'link_hour' AND domain = {domain:String} AND link_id = {link:String}"
            return condition, {"domain": domain, "link": link_id}
        case GroupScope(grp_idx):
            members = f"SELECT domain, link_id FROM links FINAL WHERE {_IN_GROUP}"
            return f"grain = 'link_hour' AND (domain, link_id) IN ({members})", {"group": grp_idx}
        case AccountScope():
            return "grain = 'account_hour'", {}


def scope_exists(store: Store, account_id: int, scope: Scope) -> bool:
    """Whether the account has the link (catalogued, or ever clicked) or the group (named, or of any link)."""
    match scope:
        case LinkScope():
            link = "account_id = {account:UInt64} AND domain = {domain:String} AND link_id = {link:String}"
            condition, parameters = _condition(scope)
            sql = (
                f"SELECT 1 FROM links WHERE {link} LIMIT 1 UNION ALL "
                f"SELECT 1 FROM rollup WHERE {condition} AND owner = {{account:UInt64}} LIMIT 1"
            )
            return bool(store.query(sql, {"account": account_id, **parameters}))
        case GroupScope(grp_idx):
            sql = (
                f"SELECT 1 FROM groups WHERE {_IN_GROUP} LIMIT 1 UNION ALL "
                f"SELECT 1 FROM links FINAL WHERE {_IN_GROUP} LIMIT 1"
            )
            return bool(store.query(sql, {"account": account_id, "group": grp_idx}))
        case AccountScope():
            return True
