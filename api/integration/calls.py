"""The calls that the helper knows: their paths, the names of their parameters, and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from api.access.plans import DEFAULTS
from api.clicks.parameters import MAX_DAYS, MAX_PER_PAGE
from api.http.openapi import JSON
from api.insights.parameters import MAX_DAYS as MAX_INSIGHT_DAYS
from api.insights.parameters import MAX_TOP
from api.live.streams import EVENT_STREAM

CSV, NDJSON, PARQUET = "text/csv", "application/x-ndjson", "application/vnd.apache.parquet"
FORMATS = {"json": JSON, "csv": CSV, "ndjson": NDJSON, "parquet": PARQUET, "events": EVENT_STREAM}
_PLAN_DAYS = max(plan.range_days for plan in DEFAULTS)
_PAGE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A GET. `days` names its first and last day, or its only one; `near` the calls that somebody may have meant."""

    name: str  # operationId
    path: str
    summary: str
    days: tuple[str, ...] = ()
    max_days: int = 1
    scope: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("json",)
    most: tuple[tuple[str, int], ...] = ()  # largest value of a parameter
    near: tuple[str, ...] = ()

    @property
    def statistics(self) -> bool:
        return self.path.startswith(("/api/statistics/", "/api/link/", "/api/link-group/"))


_RANGE = ("startYmd", "endYmd")
_LINK = ("linkId", "domain")
_INSIGHTS = ("account_id", "publisher_id", "linkId", "domain", "grpIdx", "advertiser_id", "network_id")
_TABLES = ("json", "csv", "ndjson")

_ALL = (
    Call(
        name="listClicks",
        path="/api/v1/clicks",
        summary="Daily clicks by advertiser, publisher and network",
        days=("start_date", "end_date"),
        max_days=MAX_DAYS,
        scope=("publisher_id",),
        formats=(*_TABLES, "parquet"),
        most=(("per_page", MAX_PER_PAGE), ("page", _PAGE)),
        near=("clickSeries", "topValues", "clicksByDate"),
    ),
    Call(
        name="clicksByHour",
        path="/api/statistics/v2/clicks-by-hour",
        summary="Clicks and unique users by hour of a day",
        days=("ymd",),
        scope=(*_LINK, "grpIdx"),
        near=("clicksByHourV3", "clickSeries", "clicksByDate"),
    ),
    Call(
        name="clicksByHourV3",
        path="/api/statistics/v3/clicks-by-hour",
        summary="Clicks and unique users by hour of several days",
        days=_RANGE,
        max_days=_PLAN_DAYS,
        scope=(*_LINK, "grpIdx"),
        near=("clicksByHour", "clickSeries", "clicksByDate"),
    ),
    Call(
        name="clicksByHourV1",
        path="/api/statistics/v1/clicks-by-hour",
        summary="Clicks and unique users of a link by hour",
        days=("ymd",),
        scope=_LINK,
        near=("clicksByHour", "clicksByHourV3"),
    ),
    Call(
        name="clicksByDate",
        path="/api/statistics/v2/clicks-by-date",
        summary="Clicks and unique users by day",
        days=_RANGE,
        max_days=_PLAN_DAYS,
        scope=(*_LINK, "grpIdx"),
        near=("clickSeries", "clicksByHour", "listClicks"),
    ),
    Call(
        name="clicksByDateV1",
        path="/api/statistics/v1/clicks-by-date",
        summary="Clicks and unique users of a link by day",
        days=_RANGE,
        max_days=_PLAN_DAYS,
        scope=_LINK,
        near=("clicksByDate", "clickSeries"),
    ),
    Call(
        name="clicksByGroup",
        path="/api/link/v2/clicks-by-group",
        summary="Clicks and unique users of each group",
        days=_RANGE,
        max_days=_PLAN_DAYS,
        scope=("grpIdxList",),
        most=(("pages", _PAGE),),
        near=("topValues", "clicksByDate", "listGroups"),
    ),
    Call(
        name="clicksByGroupV1",
        path="/api/link/v1/clicks-by-group",
        summary="Clicks and unique users of each group on one day",
        days=("ymd",),
        scope=("grpIdxList",),
        most=(("pages", _PAGE),),
        near=("clicksByGroup", "topValues"),
    ),
    Call(
        name="listGroups",
        path="/api/link-group/v2/list",
        summary="Groups of links, by id and name",
        scope=("grpIdx",),
        most=(("pages", _PAGE),),
        near=("clicksByGroup", "topValues"),
    ),
    Call(
        name="listGroupsV1",
        path="/api/link-group/v1/list",
        summary="The first 30 groups of links",
        scope=("grpIdx",),
        near=("listGroups", "clicksByGroup"),
    ),
    Call(
        name="clickSeries",
        path="/api/insights/v1/series",
        summary="Clicks, users and bots over time, also compared",
        days=("from", "to"),
        max_days=MAX_INSIGHT_DAYS,
        scope=_INSIGHTS,
        formats=_TABLES,
        near=("listClicks", "clicksByDate", "topValues"),
    ),
    Call(
        name="topValues",
        path="/api/insights/v1/top",
        summary="What has the most clicks, the largest gain or loss",
        days=("from", "to"),
        max_days=MAX_INSIGHT_DAYS,
        scope=_INSIGHTS,
        formats=_TABLES,
        most=(("limit", MAX_TOP),),
        near=("clickSeries", "listClicks", "clicksByGroup"),
    ),
    Call(
        name="followChanges",
        path="/api/v1/live",
        summary="A stream of events: which days have new clicks",
        scope=("account_id", "publisher_id"),
        formats=("events",),
        near=("clickSeries", "clicksByHour"),
    ),
    Call(
        name="getOwnKey",
        path="/api/v1/key",
        summary="Role and scope of the key that asks",
        near=("getSchema",),
    ),
    Call(name="getSchema", path="/api/v1/schema", summary="The OpenAPI document", near=("listTools",)),
    Call(name="listTools", path="/api/v1/tools", summary="Tools with JSON Schemas", near=("getSchema",)),
)
CALLS = {call.name: call for call in _ALL}
UNKEYED = ("getSchema", "listTools")
MAIN = ("listClicks", "clicksByHour", "clicksByDate", "clickSeries", "topValues")
