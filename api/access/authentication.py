"""Who may call what: the credentials of a request and the role that each family of calls wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import Request

from api.access.key_records import Principal
from api.access.keys import KeyRing
from api.access.rate_limits import RateLimiter
from api.http.errors import Forbidden, Unauthorized

_UNKNOWN = "This API key is not known: it was mistyped, has expired or was revoked."


def presented_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key of a request. The first credential present decides, right or wrong: no fall-through."""
    if (key := headers.get("x-api-key")) is not None:
        return key
    if (authorization := headers.get("authorization")) is not None:
        return scheme_value(authorization, "bearer")
    return query.get("api_key")


def scheme_value(authorization: str | None, scheme: str) -> str | None:
    """What follows the scheme in an Authorization header, None if it is another scheme."""
    name, _, value = (authorization or "").strip().partition(" ")
    return value.strip() if name.lower() == scheme else None


async def clicks_caller(request: Request, keys: KeyRing) -> Principal:
    """The admin or publisher behind a request to the Clicks API."""
    principal = await _known(presented_key(request.headers, request.query_params), keys, "X-Api-Key")
    await _count(request, principal)
    if principal.role not in ("admin", "publisher"):
        raise Forbidden(f"A key with role {principal.role} has no access to publisher data.")
    if principal.role == "publisher" and not principal.publisher_id:
        raise Forbidden("This key names no publisher, so that it sees nobody's data: make another one.")
    return principal


async def admin_caller(request: Request, keys: KeyRing) -> Principal:
    """The admin behind an admin call, which takes its key in a header only."""
    principal = await _known(presented_key(request.headers, {}), keys, "X-Api-Key")
    await _count(request, principal)
    if principal.role != "admin":
        raise Forbidden(f"A key with role {principal.role} has no access to admin calls.")
    return principal


async def _count(request: Request, principal: Principal) -> None:
    """Every call with a valid key counts, whatever becomes of it."""
    limiter: RateLimiter = request.app.state.limiter
    await limiter.count_key(request, principal.key_id, principal.requests_per_hour)


async def statistics_caller(request: Request, keys: KeyRing, blocked: Sequence[str]) -> int:
    """The account behind a statistics call; `blocked` are parts of user agents that are turned away."""
    agent = request.headers.get("user-agent", "").strip().lower()
    if not agent or any(part in agent for part in blocked):
        raise Forbidden("A User-Agent header is required." if not agent else "This User-Agent is blocked.")
    key = scheme_value(request.headers.get("authorization"), "apikey")
    principal = await _known(key, keys, "Authorization: APIKey KEY")
    if principal.role != "account" or not principal.account_id:
        raise Unauthorized(f"A key with role {principal.role} has no statistics: the key of an account is required.")
    return principal.account_id


async def _known(key: str | None, keys: KeyRing, form: str) -> Principal:
    """Only a caller who sent no key is told how to send one."""
    principal = await keys.resolve(key)
    if principal is None:
        raise Unauthorized(f"An API key is required: send it as {form}." if key is None else _UNKNOWN)
    return principal
