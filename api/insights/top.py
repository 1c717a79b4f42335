"""`GET /api/insights/v1/top`: the links, groups, advertisers, networks or publishers with the most clicks or change."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.catalog.catalog import Catalog
from api.http.openapi import HEADER_SECURITY
from api.insights.buckets import DAY, wall_hour
from api.insights.common import Answer, Asked, Insights, documented_responses
from api.insights.parameters import TOP, Dimension, Order, parse_dimension, parse_limit, parse_order
from api.insights.queries import require_existence
from api.insights.ranking import Span, Totals, read_ranking
from rollups.clickhouse import ClickHouse

OTHER = "(other)"


class TopRow(TypedDict):
    value: int | str
    label: str | None
    clicks: int
    users: int | None
    bots: int
    previous: int


class TopMeta(TypedDict):
    by: Dimension
    order: Order
    time_zone: str
    cut_at: str | None
    as_of: str | None


class Top(TypedDict):
    data: list[TopRow]
    meta: TopMeta


_LINK = "https://vvd.bz/hello"
_ROW: TopRow = {"value": _LINK, "label": _LINK, "clicks": 24, "users": 17, "bots": 3, "previous": 20}
_REST: TopRow = {"value": OTHER, "label": OTHER, "clicks": 6, "users": None, "bots": 0, "previous": 9}
_META: TopMeta = {
    "by": "link",
    "order": "clicks",
    "time_zone": "Europe/Berlin",
    "cut_at": None,
    "as_of": "2026-03-31T12:00:00.250Z",
}
_COLUMNS = tuple(TopRow.__annotations__)
_CSV = f'{",".join(_COLUMNS)}\r\n"{_LINK}","{_LINK}",24,17,3,20\r\n'
_RESPONSES = documented_responses(
    "At most `limit` rows, and `(other)` for the rest of all clicks: the sums are those of the range. `value` is an "
    "id, or for a link its domain, a slash and its linkId; `label` is its name, if it has one. `previous` has the "
    "clicks of the period of equal length before. Where the range has not ended, they are cut at `cut_at`; for `gain` "
    "and `loss` all counts are.",
    {"links": {"summary": "Links", "value": {"data": [_ROW, _REST], "meta": _META}}},
    _CSV,
    _ROW,
)


class TopEndpoint:
    def __init__(self, db: ClickHouse, catalog: Catalog, insights: Insights) -> None:
        self._db = db
        self._catalog = catalog
        self._insights = insights

    def router(self) -> APIRouter:
        router = APIRouter(tags=["insights"])
        router.get(
            "/api/insights/v1/top",
            operation_id="topValues",
            summary="Links, groups, advertisers, networks or publishers with the most clicks, gain or loss",
            response_model=Top,
            responses=_RESPONSES,
            openapi_extra={"parameters": TOP, "security": HEADER_SECURITY},
        )(self.top)
        return router

    async def top(self, request: Request) -> Response:
        asked = await self._insights.asked(request)
        dimension = parse_dimension(request.query_params, asked.selection)
        order, limit = parse_order(request.query_params), parse_limit(request.query_params)
        return await self._insights.respond(request, asked, self._answer, dimension, order, limit)

    def _answer(self, asked: Asked, dimension: Dimension, order: Order, limit: int) -> Answer:
        selection, start = asked.selection, wall_hour(asked.selection.first)
        cut = asked.end if asked.cut is None else min(asked.cut, asked.end)
        now = Span(start, asked.end if order == "clicks" else cut)
        before = Span(start - selection.days * DAY, cut - selection.days * DAY)
        ranking = read_ranking(self._db, selection, dimension, order, limit, now, before)
        if not any((ranking.rows, ranking.rest.clicks, ranking.rest.bots)):
            require_existence(self._db, selection)
        labels = self._labels(selection.account_id, dimension, [value[0] for value, _ in ranking.rows])
        data = [_row(dimension, value, totals, labels) for value, totals in ranking.rows]
        if any(ranking.rest):
            data.append({"value": OTHER, "label": OTHER, **ranking.rest._asdict()})  # type: ignore[typeddict-item]
        meta = {
            "by": dimension,
            "order": order,
            "time_zone": asked.zone.key,
            "cut_at": None if asked.cut is None else asked.instant(asked.cut).isoformat(),
        }
        return Answer({"data": data}, meta, data, _COLUMNS)

    def _labels(self, account_id: int | None, dimension: Dimension, ids: list[Any]) -> dict[Any, str]:
        match dimension:
            case "link":
                return {}
            case "group":
                return self._catalog.group_names(account_id or 0, ids)
            case "publisher":
                return self._catalog.names(ids, (), ()).publishers
            case "advertiser":
                return {key: name for key, (name, _) in self._catalog.names((), ids, ()).advertisers.items()}
            case "network":
                return self._catalog.names((), (), ids).networks


def _row(dimension: Dimension, value: tuple[Any, ...], totals: Totals, labels: dict[Any, str]) -> TopRow:
    named = "/".join(value) if dimension == "link" else value[0]
    return {
        "value": named,
        "label": named if dimension == "link" else labels.get(named),
        "clicks": totals.clicks,
        "users": totals.users,
        "bots": totals.bots,
        "previous": totals.previous,
    }
