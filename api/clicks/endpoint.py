"""`GET /api/v1/clicks`: clicks a day by advertiser, publisher and network: a page, or the whole range as a stream."""

from __future__ import annotations

from datetime import timedelta, timezone

from fastapi import APIRouter, Request, Response

from api.access.authentication import clicks_caller
from api.access.keys import KeyRing
from api.catalog.catalog import Catalog
from api.clicks.cursor import Cursors
from api.clicks.export import Exports
from api.clicks.formats import FORMATS, preferred_media_type
from api.clicks.openapi import ANSWERS, PARAMETERS, ClickPage
from api.clicks.parameters import ClicksQuery, bound_to, clicks_meta, parse_clicks_query
from api.clicks.queries import position_after, read_page, read_walk, with_names
from api.http.conditional import VARY, JsonBody, conditional_response, day_has_ended
from api.http.headers import request_id
from api.http.openapi import CLICKS_SECURITY, JSON
from api.query.response_cache import ResponseCache
from rollups.clickhouse import ClickHouse

_LAST_ZONE = timezone(timedelta(hours=-12))  # a listing may be of publishers in every zone: over here, over everywhere


def clicks_router(db: ClickHouse, keys: KeyRing, catalog: Catalog, cache: ResponseCache, cursors: Cursors) -> APIRouter:
    router = APIRouter(tags=["clicks"])
    exports = Exports(db, catalog, cache.executor)

    @router.get(
        "/api/v1/clicks",
        operation_id="listClicks",
        summary="Daily clicks by advertiser, publisher and network",
        response_model=ClickPage,
        responses=ANSWERS,
        openapi_extra={"parameters": PARAMETERS, "security": CLICKS_SECURITY},
    )
    async def list_clicks(request: Request) -> Response:
        principal = await clicks_caller(request, keys)
        query = parse_clicks_query(request.query_params, principal, cursors)
        media_type = preferred_media_type(request.headers.getlist("accept"), (JSON, *FORMATS))
        if media_type != JSON:
            headers = {**await cache.as_of(), "Cache-Control": "private, no-store", "Vary": VARY}
            return await exports.start(query, media_type, headers, request_id(request))

        # The query names the publisher in effect: who shares a query may see the same.
        body, header = await cache.get(
            ("clicks", query), query.end, lambda: JsonBody.of(page(db, catalog, cursors, query)), lambda body: body.size
        )
        return conditional_response(request, body, header, closed=day_has_ended(query.end, _LAST_ZONE))

    return router


def page(db: ClickHouse, catalog: Catalog, cursors: Cursors, query: ClicksQuery) -> ClickPage:
    if query.after is None:
        rows, total = read_page(db, query)
        return {"data": with_names(rows, catalog), "meta": clicks_meta(query, total)}
    rows, total, more = read_walk(db, query, query.after)
    meta = clicks_meta(query, total)
    listing = bound_to(query.start, query.end, query.publisher_id)
    meta["next_cursor"] = cursors.write(position_after(rows[-1], query.page + 1), listing) if more else None
    return {"data": with_names(rows, catalog), "meta": meta}
