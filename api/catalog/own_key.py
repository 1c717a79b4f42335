"""`GET /api/v1/key`: what the caller's key is, so that a client knows what it may ask for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from typing_extensions import TypedDict

from api.access.authentication import Authentication
from api.access.key_records import Role
from api.catalog.callers import Callers, owner_asked_for
from api.dates import iso_utc
from api.http.openapi import HEADER_SECURITY, error_responses, example_response


class OwnKey(TypedDict):
    """A key without its text. `plan` is that of an account, `time_zone` that of an account or publisher."""

    id: str
    role: Role
    publisher_id: int | None
    account_id: int | None
    expires_at: str | None
    plan: str | None
    time_zone: str | None


_EXAMPLE: OwnKey = {
    "id": "5f0c9a7e21b3d468",
    "role": "account",
    "publisher_id": None,
    "account_id": 7,
    "expires_at": None,
    "plan": "Business",
    "time_zone": "Asia/Seoul",
}


class OwnKeyEndpoint:
    """The handler; a key of any role may ask."""

    def __init__(self, authentication: Authentication, callers: Callers) -> None:
        self._authentication = authentication
        self._callers = callers

    def router(self) -> APIRouter:
        router = APIRouter(tags=["discovery"])
        router.get(
            "/api/v1/key",
            operation_id="getOwnKey",
            summary="Role and scope of the key that asks",
            response_model=OwnKey,
            responses={**example_response(200, _EXAMPLE), **error_responses(401, 429, 503)},
            openapi_extra={"security": [*HEADER_SECURITY, {"api_key": []}]},
        )(self.get_own_key)
        return router

    async def get_own_key(self, request: Request) -> JSONResponse:
        principal = await self._authentication.any_caller(request)
        owner = owner_asked_for(principal, {})
        zone = None if owner is None else await self._callers.zone(owner)
        account = None if principal.account_id is None else await self._callers.account(principal.account_id)
        view: OwnKey = {
            "id": principal.key_id,
            "role": principal.role,
            "publisher_id": principal.publisher_id,
            "account_id": principal.account_id,
            "expires_at": None if principal.expires_at is None else iso_utc(principal.expires_at),
            "plan": account.plan.name if account else None,
            "time_zone": zone.key if zone else None,
        }
        return JSONResponse(view)
