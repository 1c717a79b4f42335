"""`GET /api/v1/live`: a stream of server-sent events that tells when the clicks of its caller have changed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from api.access.authentication import Authentication
from api.catalog.callers import Callers, owner_asked_for
from api.http.negotiation import accepts
from api.http.openapi import HEADER_SECURITY, error_responses
from api.http.parameters import query_parameter
from api.live.streams import EVENT_STREAM, LiveResponse, LiveStreams
from ingest.event import MAX_ID

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_PARAMETERS = [
    query_parameter("account_id", _ID, "Admins: the clicks of this account only."),
    query_parameter("publisher_id", _ID, "Admins: the clicks of this publisher only."),
]
_EXAMPLE = (
    'retry: 2000\n\nevent: as_of\nid: 2026-03-31T12:00:00.250Z\ndata: {"as_of":"2026-03-31T12:00:00.250Z",'
    '"changed_from":"2026-03-31"}\n\n:\n\nevent: end\ndata: {"reason":"shutdown"}\n\n'
)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, until the client leaves, the key ends or the server stops. `as_of`: clicks of "
        "`changed_from` or a later day, or of any day if it is null, are counted up to `as_of`; the first one comes "
        "at once. `end`: the last event, with its `reason`, `key` or `shutdown`.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}, "examples": {"events": {"value": _EXAMPLE}}}},
    },
    **error_responses(400, 406),
}


class LiveEndpoint:
    def __init__(self, authentication: Authentication, callers: Callers, streams: LiveStreams) -> None:
        self._authentication = authentication
        self._callers = callers
        self._streams = streams

    def router(self) -> APIRouter:
        router = APIRouter(tags=["live"])
        router.get(
            "/api/v1/live",
            operation_id="followChanges",
            summary="A stream of events: which days have new clicks",
            response_class=Response,
            responses=_RESPONSES,
            openapi_extra={"parameters": _PARAMETERS, "security": HEADER_SECURITY},
        )(self.follow)
        return router

    async def follow(self, request: Request) -> Response:
        principal = await self._callers.authenticate(request)
        owner = owner_asked_for(principal, request.query_params)
        if not accepts(request.headers.getlist("accept"), EVENT_STREAM):
            raise HTTPException(406, f"This is a stream of events: send Accept: {EVENT_STREAM}.")
        return LiveResponse(
            self._streams,
            principal.key_id,
            owner,
            lambda: self._authentication.still_valid(request, principal),
        )
