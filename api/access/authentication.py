"""Authentication of each family of calls: where the key is sent, which roles have access, and that the call counts."""

from __future__ import annotations

from starlette.requests import Request

from api.access.key_records import Principal
from api.access.keys import KeyRing
from api.access.rate_limits import RateLimiter
from api.http.errors import Forbidden, Unauthorized
from api.http.headers import ANY_SCHEME, presented_key, scheme_value
from api.settings import Settings
from ingest.settings import split_list
from rollups.clickhouse import ClickHouseUnavailable

_UNKNOWN = "This API key is not known: it was mistyped, has expired or was revoked."


class Authentication:
    """Resolves the caller of a request. Every method raises Unauthorized, Forbidden or ClickHouseUnavailable.

    Calls of a valid key count, whatever becomes of them, and raise RateLimited. Those of an account count once its
    plan is known (`api/statistics/common.py`).
    """

    def __init__(self, settings: Settings, keys: KeyRing, limiter: RateLimiter) -> None:
        self._keys = keys
        self._limiter = limiter
        self._blocked = split_list(settings.blocked_user_agents.lower())

    async def clicks_caller(self, request: Request) -> Principal:
        """The admin or publisher that calls the Clicks API."""
        principal = await self._resolve(presented_key(request.headers, request.query_params, "bearer"), "X-Api-Key")
        await self._limiter.count_key(request, principal.key_id, principal.requests_per_hour)
        if principal.role not in ("admin", "publisher"):
            raise Forbidden(f"A key with role {principal.role} has no access to publisher data.")
        if principal.role == "publisher" and not principal.publisher_id:
            raise Forbidden("This key names no publisher, so that it sees nobody's data: make another one.")
        return principal

    async def any_caller(self, request: Request) -> Principal:
        """The caller of a call that keys of every role may make."""
        key = presented_key(request.headers, request.query_params, *ANY_SCHEME)
        principal = await self._resolve(key, "X-Api-Key")
        await self._limiter.count_key(request, principal.key_id, principal.requests_per_hour)
        return principal

    async def admin_caller(self, request: Request) -> Principal:
        """The admin of an admin call, which takes its key in a header only."""
        principal = await self._resolve(presented_key(request.headers, {}, "bearer"), "X-Api-Key")
        await self._limiter.count_key(request, principal.key_id, principal.requests_per_hour)
        if principal.role != "admin":
            raise Forbidden(f"A key with role {principal.role} has no access to admin calls.")
        return principal

    async def statistics_caller(self, request: Request) -> int:
        """The id of the account of a statistics call, unless its user agent is blocked."""
        agent = request.headers.get("user-agent", "").strip().lower()
        if not agent or any(part in agent for part in self._blocked):
            raise Forbidden("A User-Agent header is required." if not agent else "This User-Agent is blocked.")
        key = scheme_value(request.headers.get("authorization"), "apikey")
        principal = await self._resolve(key, "Authorization: APIKey KEY")
        if principal.role != "account" or not principal.account_id:
            message = f"A key with role {principal.role} has no statistics: the key of an account is required."
            raise Unauthorized(message)
        return principal.account_id

    async def data_caller(self, request: Request) -> Principal:
        """The admin, publisher or account of a call that serves them alike, and takes its key in a header only.

        The call of an account is not counted yet.
        """
        principal = await self._resolve(presented_key(request.headers, {}, *ANY_SCHEME), "X-Api-Key")
        if principal.role != "account":
            await self._limiter.count_key(request, principal.key_id, principal.requests_per_hour)
        if principal.role != "admin" and not (principal.publisher_id or principal.account_id):
            raise Forbidden(f"A key with role {principal.role} that names nobody has no clicks to see.")
        return principal

    async def still_valid(self, request: Request, principal: Principal) -> bool:
        """Whether the key of `data_caller` still stands for this caller. True while the database cannot tell."""
        try:
            now = await self._keys.resolve(presented_key(request.headers, {}, *ANY_SCHEME))
        except ClickHouseUnavailable:
            return True
        return now is not None and _identity(now) == _identity(principal)

    async def _resolve(self, key: str | None, form: str) -> Principal:
        """Only a caller without a key is told how to send one."""
        principal = await self._keys.resolve(key)
        if principal is None:
            raise Unauthorized(f"An API key is required: send it as {form}." if key is None else _UNKNOWN)
        return principal


def _identity(principal: Principal) -> tuple[object, ...]:
    return principal.role, principal.publisher_id, principal.account_id
