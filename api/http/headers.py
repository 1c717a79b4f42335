"""Headers of every response, the request id among them, and the key that a request presents."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import Scope

_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
ANY_SCHEME = ("bearer", "apikey")  # in which a key may come, where a call takes either
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def default_headers(scope: Scope) -> dict[str, str]:
    """Headers that a response has unless it sets them itself: security, rate limit of the key, request id."""
    state = scope.get("state", {})
    return {
        **_ALWAYS,
        **(_OVER_TLS if scope["scheme"] == "https" else {}),
        **state.get("rate_limit_headers", {}),
        "X-Request-Id": state["request_id"],
    }


def choose_request_id(given: str | None) -> str:
    """The client's own request id if it is short and plain, a random one otherwise."""
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def request_id(request: Request) -> str:
    return str(request.state.request_id)


def presented_key(headers: Mapping[str, str], query: Mapping[str, str], *schemes: str) -> str | None:
    """The key of a request: `X-Api-Key`, `Authorization` with one of the schemes, or `api_key` of the query.

    The first of them that is present decides, be it wrong or empty.
    """
    if (key := headers.get("x-api-key")) is not None:
        return key
    if (authorization := headers.get("authorization")) is not None:
        return scheme_value(authorization, *schemes)
    return query.get("api_key")


def scheme_value(authorization: str | None, *schemes: str) -> str | None:
    """The credential of an Authorization header with one of these schemes (in lower case), None with another one."""
    name, _, value = (authorization or "").strip().partition(" ")
    return value.strip() if name.lower() in schemes else None
