"""`GET /api/v1/clicks`: clicks a day by advertiser, publisher and network, page by page."""

from __future__ import annotations

from datetime import timedelta, timezone

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.access import clicks_caller
from api.answers import Answers
from api.catalog import Catalog
from api.clicks_query import PARAMETERS, ClickMeta, ClicksQuery, clicks_meta, parse_clicks_query
from api.conditional import Body, is_over, reply
from api.dates import stored_range
from api.keys import KeyRing
from api.openapi import CLICKS_SECURITY, answered, refused
from rollups.store import Row, Store

_LAST_ZONE = timezone(timedelta(hours=-12))  # a listing may be of publishers in every zone: over here, over everywhere


class ClickRow(TypedDict):
    advertiser_id: int
    advertiser_name: str | None
    advertiser_slug: str | None
    publisher_id: int
    publisher_name: str | None
    network_id: int
    network_name: str | None
    click_date: str
    click_count: int


class ClickPage(TypedDict):
    data: list[ClickRow]
    meta: ClickMeta


EXAMPLE: ClickPage = {
    "data": [
        {
            "advertiser_id": 123,
            "advertiser_name": "Alpha Store",
            "advertiser_slug": "alpha-store",
            "publisher_id": 45,
            "publisher_name": "Example Publisher",
            "network_id": 7,
            "network_name": "Awin",
            "click_date": "2026-03-31",
            "click_count": 120,
        }
    ],
    "meta": {
        "current_page": 2,
        "next_page": 3,
        "prev_page": 1,
        "total_pages": 3,
        "total_count": 3,
        "start_date": "2026-03-01",
        "end_date": "2026-03-31",
        "days": 31,
        "publisher_id": 45,
    },
}


def clicks_router(store: Store, keys: KeyRing, catalog: Catalog, answers: Answers) -> APIRouter:
    router = APIRouter(tags=["clicks"])

    @router.get(
        "/api/v1/clicks",
        operation_id="listClicks",
        summary="Daily clicks by advertiser, publisher and network",
        response_model=ClickPage,
        responses={**answered("A page of the listing", EXAMPLE), **refused(400)},
        openapi_extra={"parameters": PARAMETERS, "security": CLICKS_SECURITY},
    )
    async def list_clicks(request: Request) -> Response:
        principal = await clicks_caller(request, keys)
        query = parse_clicks_query(request.query_params, principal)

        def page() -> Body:
            rows, total = read_page(store, query)
            served: ClickPage = {"data": with_names(rows, catalog), "meta": clicks_meta(query, total)}
            return Body.of(served)

        # The query names the publisher in effect: who shares a query may see the same.
        body, header = await answers.get(("clicks", query), query.end, page, lambda body: body.size)
        return reply(request, body, header, closed=is_over(query.end, _LAST_ZONE))

    return router


def read_page(store: Store, query: ClicksQuery) -> tuple[list[Row], int]:
    """The rows of the page (day, publisher, advertiser, network, clicks), and how many all pages have."""
    days = stored_range(query.start, query.end)
    if days is None or not _is_id(query.publisher_id):
        return [], 0
    matching = f"""
        SELECT day, owner, advertiser_id, network_id, sum(clicks) AS click_count
        FROM rollup
        WHERE grain = 'affiliate_day' AND day BETWEEN {{first:Date}} AND {{last:Date}}
        {"" if query.publisher_id is None else "AND owner = {publisher:UInt64}"}
        GROUP BY day, owner, advertiser_id, network_id
        HAVING click_count > 0"""
    parameters = {"first": days[0], "last": days[1], "publisher": query.publisher_id or 0}
    found = store.query(
        f"SELECT *, count() OVER () FROM ({matching}) "
        "ORDER BY day DESC, click_count DESC, advertiser_id, owner, network_id "
        "LIMIT {size:UInt64} OFFSET {offset:UInt64}",
        {**parameters, "size": query.per_page, "offset": min(query.offset, 2**63)},
    )
    if found:
        return [row[:-1] for row in found], found[0][-1]
    total = store.query(f"SELECT count() FROM ({matching})", parameters)[0][0] if query.page > 1 else 0
    return [], total


def _is_id(publisher_id: int | None) -> bool:
    """False for a number that no publisher can have and that ClickHouse could not read."""
    return publisher_id is None or 0 < publisher_id < 2**64


def with_names(rows: list[Row], catalog: Catalog) -> list[ClickRow]:
    """The rows as they are served; an id that the catalogue does not know has null names."""
    if not rows:
        return []
    _, publishers, advertisers, networks, _ = (set(column) for column in zip(*rows, strict=True))
    names = catalog.names(publishers, advertisers, networks)
    served: list[ClickRow] = []
    for day, publisher, advertiser, network, clicks in rows:
        name, slug = names.advertisers.get(advertiser, (None, None))
        served.append(
            {
                "advertiser_id": advertiser,
                "advertiser_name": name,
                "advertiser_slug": slug,
                "publisher_id": publisher,
                "publisher_name": names.publishers.get(publisher),
                "network_id": network,
                "network_name": names.networks.get(network),
                "click_date": day.isoformat(),
                "click_count": clicks,
            }
        )
    return served
