"""Headers that every answer carries, whatever it is of."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


def standing_headers(scope: Scope) -> dict[str, str]:
    """The headers, where an answer does not say otherwise, with the id of the request and what its key has left."""
    state = scope.get("state", {})
    rate_limit = state.get("rate_limit")
    return {
        **_ALWAYS,
        **(_OVER_TLS if scope["scheme"] == "https" else {}),
        **(rate_limit.headers() if rate_limit else {}),
        "X-Request-Id": state["request_id"],
    }


class StandingHeaders:
    """ASGI middleware inside `RequestId`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                standing = [(name.lower().encode(), value.encode()) for name, value in standing_headers(scope).items()]
                message["headers"] = [*message["headers"], *(pair for pair in standing if pair[0] not in said)]
            await send(message)

        await self._app(scope, receive, headed)
