"""Callers of the calls that serve accounts, publishers and admins alike, and whose clicks they ask about."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from starlette.requests import Request

from api.access.authentication import Authentication
from api.access.key_records import Principal
from api.access.rate_limits import RateLimiter
from api.catalog.catalog import Account, Catalog
from api.http.errors import BadRequest
from api.http.parameters import parse_integer
from api.query.change_detection import ClickOwner
from api.query.response_cache import ResponseCache
from ingest.event import MAX_ID


class Callers:
    """Admits callers, within the limits of their key or plan. For one event loop."""

    def __init__(
        self, authentication: Authentication, limiter: RateLimiter, catalog: Catalog, cache: ResponseCache
    ) -> None:
        self._authentication = authentication
        self._limiter = limiter
        self._catalog = catalog
        self._cache = cache

    async def authenticate(self, request: Request) -> Principal:
        """The admin, publisher or account of a request, which counts. Raises Unauthorized, Forbidden, RateLimited."""
        principal = await self._authentication.data_caller(request)
        if principal.account_id is not None:
            account = await self.account(principal.account_id)
            await self._limiter.count_account(principal.account_id, account.plan)
        return principal

    async def account(self, account_id: int) -> Account:
        """Plan and zone of an account, from the cache."""
        account, _ = await self._cache.get(self._catalog.account, account_id, last_day=None)
        return account

    async def zone(self, owner: ClickOwner | None) -> ZoneInfo:
        """The zone that the clicks of an owner are counted in; UTC for those of all publishers."""
        if owner is None:
            return ZoneInfo("UTC")
        if owner.grain == "account_hour":
            return (await self.account(owner.id)).zone
        zone, _ = await self._cache.get(self._catalog.publisher_zone, owner.id, last_day=None)
        return zone


def owner_asked_for(principal: Principal, query: Mapping[str, str]) -> ClickOwner | None:
    """Whose clicks a request is about: an admin names somebody, or nobody for all; anybody else is it.

    Raises BadRequest.
    """
    if principal.account_id is not None:
        return ClickOwner("account_hour", principal.account_id)
    if principal.publisher_id is not None:
        return ClickOwner("affiliate_day", principal.publisher_id)
    account, publisher = _id(query, "account_id"), _id(query, "publisher_id")
    if account is not None and publisher is not None:
        raise BadRequest("account_id and publisher_id exclude each other.", field="publisher_id")
    if account is not None:
        return ClickOwner("account_hour", account)
    return None if publisher is None else ClickOwner("affiliate_day", publisher)


def _id(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    number = parse_integer(text)
    if number is None or not 0 < number <= MAX_ID:
        raise BadRequest(f"{name} must be an integer from 1 to {MAX_ID}.", field=name)
    return number
