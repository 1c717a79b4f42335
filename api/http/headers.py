"""Headers of every response, and the request id among them."""

from __future__ import annotations

import re
import uuid

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
