"""`GET /api/v1/clicks`: daily clicks by advertiser, publisher and network, as a page or as a stream of all rows."""

from __future__ import annotations

from datetime import timedelta, timezone

from fastapi import APIRouter, Request, Response

from api.access.authentication import Authentication
from api.catalog.catalog import Catalog
from api.clicks.cursor import Cursors
from api.clicks.export import Exports
from api.clicks.formats import FORMATS
from api.clicks.openapi import PARAMETERS, RESPONSES, ClickPage
from api.clicks.parameters import ClicksQuery, clicks_meta, cursor_scope, parse_clicks_query
from api.clicks.queries import position_after, read_page, read_page_after, with_names
from api.http.conditional import VARY, ResponseBody, as_of_header, conditional_response, day_has_ended
from api.http.headers import request_id
from api.http.negotiation import preferred_media_type
from api.http.openapi import CLICKS_SECURITY, JSON
from api.query.response_cache import ResponseCache
from rollups.clickhouse import ClickHouse

_LAST_ZONE = timezone(timedelta(hours=-12))  # publishers are in many zones: a day that has ended here has ended in all


class ClicksEndpoint:
    """The handler of the listing, for one event loop."""

    def __init__(
        self, db: ClickHouse, authentication: Authentication, catalog: Catalog, cache: ResponseCache, cursors: Cursors
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._catalog = catalog
        self._cache = cache
        self._cursors = cursors
        self._exports = Exports(db, catalog, cache.executor)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["clicks"])
        router.get(
            "/api/v1/clicks",
            operation_id="listClicks",
            summary="Daily clicks by advertiser, publisher and network",
            response_model=ClickPage,
            responses=RESPONSES,
            openapi_extra={"parameters": PARAMETERS, "security": CLICKS_SECURITY},
        )(self.list_clicks)
        return router

    async def list_clicks(self, request: Request) -> Response:
        principal = await self._authentication.clicks_caller(request)
        query = parse_clicks_query(request.query_params, principal, self._cursors)
        media_type = preferred_media_type(request.headers.getlist("accept"), (JSON, *FORMATS))
        if media_type != JSON:
            headers = {**as_of_header(await self._cache.as_of()), "Cache-Control": "private, no-store", "Vary": VARY}
            return await self._exports.start(query, media_type, headers, request_id(request))
        # The query holds the publisher in effect, so callers with equal queries may see the same response.
        body, as_of = await self._cache.get(self._encoded_page, query, last_day=query.end, size=lambda body: body.size)
        return conditional_response(request, body, as_of, closed=day_has_ended(query.end, _LAST_ZONE))

    def _encoded_page(self, query: ClicksQuery) -> ResponseBody:
        return ResponseBody.of(self._page(query))

    def _page(self, query: ClicksQuery) -> ClickPage:
        if query.after is None:
            rows, total = read_page(self._db, query)
            return {"data": with_names(rows, self._catalog), "meta": clicks_meta(query, total)}
        rows, total, more = read_page_after(self._db, query, query.after)
        meta = clicks_meta(query, total)
        scope = cursor_scope(query.start, query.end, query.publisher_id)
        meta["next_cursor"] = self._cursors.write(position_after(rows[-1], query.page + 1), scope) if more else None
        return {"data": with_names(rows, self._catalog), "meta": meta}
