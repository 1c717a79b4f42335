"""`GET /api/insights/v1/series`: clicks, users and bots over time, and those of an earlier period beside them."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.http.openapi import HEADER_SECURITY
from api.insights.buckets import Buckets, Comparison, Interval, buckets, compared
from api.insights.common import Answer, Asked, Insights, documented_responses
from api.insights.parameters import SERIES, parse_comparison, parse_interval
from api.insights.queries import Counts, read_buckets, require_existence
from rollups.clickhouse import ClickHouse


class SeriesRow(TypedDict):
    start: str
    end: str
    clicks: int
    users: int | None
    bots: int
    status: Literal["final", "open"]


class SeriesMeta(TypedDict):
    time_zone: str
    cut_at: str | None
    as_of: str | None


class Series(TypedDict):
    data: list[SeriesRow]
    compare: list[SeriesRow] | None
    meta: SeriesMeta


_ROW: SeriesRow = {
    "start": "2026-03-29T00:00:00+01:00",
    "end": "2026-03-30T00:00:00+02:00",
    "clicks": 24,
    "users": 17,
    "bots": 3,
    "status": "final",
}
_BEFORE: SeriesRow = {
    **_ROW,
    "start": "2026-03-28T00:00:00+01:00",
    "end": "2026-03-29T00:00:00+01:00",
    "clicks": 20,
}
_META: SeriesMeta = {"time_zone": "Europe/Berlin", "cut_at": None, "as_of": "2026-03-31T12:00:00.250Z"}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "day": {"summary": "One day", "value": {"data": [_ROW], "compare": None, "meta": _META}},
    "compare": {"summary": "Against the day before", "value": {"data": [_ROW], "compare": [_BEFORE], "meta": _META}},
}
_COLUMNS = tuple(SeriesRow.__annotations__)
_COMPARED = tuple(f"compare_{name}" for name in _COLUMNS if name != "status")
_CSV = f'{",".join(_COLUMNS)}\r\n"{_ROW["start"]}","{_ROW["end"]}",24,17,3,"final"\r\n'
_RESPONSES = documented_responses(
    "A row for each bucket, also without clicks. `users` counts each user once in a bucket, null for publishers. "
    "`open`: clicks of the bucket may still come in. `compare` has as many rows, each for the one in its place. Where "
    "a comparison was asked for and the range has not ended, both end at `cut_at`. The other formats put the columns "
    "of the comparison beside the others.",
    _EXAMPLES,
    _CSV,
    _ROW,
)


class SeriesEndpoint:
    def __init__(self, db: ClickHouse, insights: Insights) -> None:
        self._db = db
        self._insights = insights

    def router(self) -> APIRouter:
        router = APIRouter(tags=["insights"])
        router.get(
            "/api/insights/v1/series",
            operation_id="clickSeries",
            summary="Clicks, users and bots over time, also against an earlier period",
            response_model=Series,
            responses=_RESPONSES,
            openapi_extra={"parameters": SERIES, "security": HEADER_SECURITY},
        )(self.series)
        return router

    async def series(self, request: Request) -> Response:
        asked = await self._insights.asked(request)
        interval = parse_interval(request.query_params, asked.selection)
        comparison = parse_comparison(request.query_params)
        return await self._insights.respond(request, asked, self._answer, interval, comparison)

    def _answer(self, asked: Asked, interval: Interval, comparison: Comparison | None) -> Answer:
        first, last = asked.selection.first, asked.selection.last
        cut = None if comparison is None else asked.cut
        given = buckets(first, asked.end if cut is None else min(cut, asked.end), interval, asked.zone)
        data = self._rows(asked, given, interval)
        before = None if comparison is None else self._rows(asked, compared(given, first, last, comparison), interval)
        if not any(row["clicks"] or row["bots"] for row in [*data, *(before or [])]):
            require_existence(self._db, asked.selection)
        table = data if before is None else [{**a, **_beside(b)} for a, b in zip(data, before, strict=True)]
        return Answer(
            {"data": data, "compare": before},
            {"time_zone": asked.zone.key, "cut_at": None if cut is None else asked.instant(cut).isoformat()},
            table,
            _COLUMNS if before is None else (*_COLUMNS, *_COMPARED),
        )

    def _rows(self, asked: Asked, wanted: Buckets, interval: Interval) -> list[SeriesRow]:
        counts = read_buckets(self._db, asked.selection, wanted, hourly=interval == "hour")
        edges = [asked.instant(wall) for wall in (*wanted.starts, wanted.end)]
        return [_row(asked, *pair, count) for pair, count in zip(pairwise(edges), counts, strict=True)]


def _row(asked: Asked, start: datetime, end: datetime, count: Counts) -> SeriesRow:
    return {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "clicks": count.clicks,
        "users": count.users,
        "bots": count.bots,
        "status": "final" if asked.counted_to is not None and end <= asked.counted_to else "open",
    }


def _beside(row: SeriesRow) -> dict[str, Any]:
    return {f"compare_{name}": value for name, value in row.items() if name != "status"}
