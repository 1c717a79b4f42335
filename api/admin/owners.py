"""`GET /admin/accounts` and `GET /admin/publishers`: the owners of clicks in the catalogue, page by page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from api.access.authentication import Authentication
from api.admin.endpoints import admin_router
from api.http.openapi import error_responses, example_response
from rollups.clickhouse import ClickHouse

PAGE_SIZE = 100
_MAX_PAGE = 10_000
_PAGE = """
SELECT {columns}, count() OVER () FROM {table} FINAL
WHERE positionCaseInsensitiveUTF8(name, {{search:String}}) > 0 OR toString({key}) = {{search:String}}
ORDER BY {key} LIMIT {size} OFFSET {{offset:UInt64}}
"""

Search = Annotated[str, Query(max_length=100, description="Part of a name in any case, or an id; default: all.")]
PageNumber = Annotated[int, Query(ge=1, le=_MAX_PAGE)]


class AccountView(TypedDict):
    account_id: int
    name: str
    plan: str
    time_zone: str


class AccountPage(TypedDict):
    """`total` counts the accounts of all pages."""

    data: list[AccountView]
    page: int
    total: int


class PublisherView(TypedDict):
    publisher_id: int
    name: str
    time_zone: str


class PublisherPage(TypedDict):
    """`total` counts the publishers of all pages."""

    data: list[PublisherView]
    page: int
    total: int


_ACCOUNTS: AccountPage = {
    "data": [{"account_id": 7, "name": "Example", "plan": "Business", "time_zone": "Asia/Seoul"}],
    "page": 1,
    "total": 1,
}
_PUBLISHERS: PublisherPage = {
    "data": [{"publisher_id": 45, "name": "Example Publisher", "time_zone": "UTC"}],
    "page": 1,
    "total": 1,
}


def owners_router(db: ClickHouse, authentication: Authentication) -> APIRouter:
    router = admin_router(authentication)

    @router.get(
        "/accounts",
        operation_id="listAccounts",
        summary="Accounts in the catalogue, 100 a page",
        responses={**example_response(200, _ACCOUNTS), **error_responses(400)},
    )
    def get_accounts(search: Search = "", page: PageNumber = 1) -> AccountPage:
        data, total = _read(db, "accounts", list(AccountView.__annotations__), search, page)
        return {"data": data, "page": page, "total": total}

    @router.get(
        "/publishers",
        operation_id="listPublishers",
        summary="Publishers in the catalogue, 100 a page",
        responses={**example_response(200, _PUBLISHERS), **error_responses(400)},
    )
    def get_publishers(search: Search = "", page: PageNumber = 1) -> PublisherPage:
        data, total = _read(db, "publishers", list(PublisherView.__annotations__), search, page)
        return {"data": data, "page": page, "total": total}

    return router


def _read(db: ClickHouse, table: str, columns: list[str], search: str, page: int) -> tuple[list[Any], int]:
    """The rows of a page by column, of which the first is the key, and how many there are; none after the last page."""
    query = _PAGE.format(columns=", ".join(columns), table=table, key=columns[0], size=PAGE_SIZE)
    rows = db.query(query, {"search": search, "offset": (page - 1) * PAGE_SIZE})
    return [dict(zip(columns, row[:-1], strict=True)) for row in rows], rows[0][-1] if rows else 0
