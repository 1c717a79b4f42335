"""Admin calls: the catalogue and the API keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access.authentication import Authentication
from api.access.key_records import KeyRecord, Role
from api.access.keys import KeyRing
from api.catalog.catalog import Catalog
from api.catalog.entries import CatalogUpload, Id, Text
from api.dates import iso_utc
from api.http.errors import BadRequest, NotFound
from api.http.openapi import error_responses, example_response
from api.query.response_cache import ResponseCache

_MAX_REQUESTS = 1_000_000_000
_MAX_OVERLAP_SECONDS = 90 * 86_400
_LATEST = 2**32 - 1  # seconds since 1970, the end of ClickHouse's DateTime, early in 2106


def _storable(at: AwareDatetime) -> AwareDatetime:
    if not 0 < at.timestamp() <= _LATEST:
        raise ValueError("the time must be between 1970 and 2106")
    return at


class KeyRequest(BaseModel):
    """A publisher's key needs `publisher_id`, an account's `account_id`; other roles have neither."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"role": "publisher", "publisher_id": 45, "name": "Example Publisher"}]},
    )

    role: Role
    publisher_id: Id | None = None
    account_id: Id | None = None
    name: Text = ""
    expires_at: Annotated[AwareDatetime, AfterValidator(_storable)] | None = None
    requests_per_hour: Annotated[int, Field(strict=True, ge=1, le=_MAX_REQUESTS)] | None = None


class Rotation(BaseModel):
    """How long the old key lives on, in seconds."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_seconds": 3600}]})

    overlap_seconds: Annotated[int, Field(strict=True, ge=0, le=_MAX_OVERLAP_SECONDS)] = 86_400


class KeyView(TypedDict):
    id: str
    role: Role
    publisher_id: int | None
    account_id: int | None
    name: str
    created_at: str
    expires_at: str | None
    requests_per_hour: int | None
    revoked_at: str | None
    last_used_at: str | None


class NewKey(KeyView):
    key: str


class KeyList(TypedDict):
    data: list[KeyView]


_EXAMPLE = KeyRecord("5f0c9a7e21b3d468", "publisher", 45, None, "Example Publisher", 1_774_958_400, None)


def admin_router(authentication: Authentication) -> APIRouter:
    """An empty router under /admin, for admins only."""
    return APIRouter(
        prefix="/admin",
        tags=["admin"],
        route_class=type("AdminRoute", (_AdminRoute,), {"authentication": authentication}),
        dependencies=[
            Security(APIKeyHeader(name="X-Api-Key", scheme_name="X-Api-Key", auto_error=False)),
            Security(HTTPBearer(scheme_name="Bearer", auto_error=False)),
        ],
    )


class _AdminRoute(APIRoute):
    """Authenticates before the body is read; FastAPI reads bodies ahead of any dependency."""

    authentication: Authentication

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            await self.authentication.admin_caller(request)
            return await handle(request)

        return authenticated


class AdminEndpoints:
    """The calls for the catalogue and the keys. Handlers block, so FastAPI runs them in threads."""

    def __init__(self, authentication: Authentication, keys: KeyRing, catalog: Catalog, cache: ResponseCache) -> None:
        self._authentication = authentication
        self._keys = keys
        self._catalog = catalog
        self._cache = cache

    def router(self) -> APIRouter:
        router = admin_router(self._authentication)
        made = example_response(201, {**key_view(_EXAMPLE), "key": "cm_the-text-of-the-key"})
        router.put(
            "/catalog",
            operation_id="putCatalog",
            summary="Add or replace catalogue entries",
            responses={**example_response(200, {"publishers": 1, "networks": 2}), **error_responses(400)},
        )(self.put_catalog)
        router.post(
            "/keys",
            operation_id="createKey",
            status_code=201,
            response_model=NewKey,
            summary="Make a key, shown this once",
            responses={**made, **error_responses(400)},
        )(self.post_key)
        router.post(
            "/keys/{key_id}/rotate",
            operation_id="rotateKey",
            status_code=201,
            response_model=NewKey,
            summary="Replace a key, which lives on a while",
            responses={**made, **error_responses(400, 404)},
        )(self.rotate_key)
        router.get(
            "/keys",
            operation_id="listKeys",
            summary="Every key, revoked ones included, without its text",
            responses=example_response(200, {"data": [key_view(_EXAMPLE)]}),
        )(self.get_keys)
        router.delete(
            "/keys/{key_id}",
            operation_id="revokeKey",
            status_code=204,
            summary="Revoke a key",
            responses=error_responses(404),
        )(self.delete_key)
        return router

    def put_catalog(self, upload: CatalogUpload) -> dict[str, int]:
        try:
            return self._catalog.upsert(upload)
        finally:
            self._cache.mark_stale()

    def post_key(self, request: KeyRequest) -> JSONResponse:
        check_key_request(request, time.time())
        expires_at = int(request.expires_at.timestamp()) if request.expires_at else None
        record, key = self._keys.create(
            request.role,
            publisher_id=request.publisher_id,
            account_id=request.account_id,
            name=request.name,
            expires_at=expires_at,
            requests_per_hour=request.requests_per_hour,
        )
        return _shown_once(record, key)

    def rotate_key(self, key_id: str, rotation: Rotation) -> JSONResponse:
        rotated = self._keys.rotate(key_id, rotation.overlap_seconds)
        if rotated is None:
            raise NotFound("There is no key with this id, or it has ended.")
        return _shown_once(*rotated)

    def get_keys(self) -> KeyList:
        used = self._keys.uses.read()
        return {"data": [key_view(record, used.get(record.id)) for record in self._keys.records()]}

    def delete_key(self, key_id: str) -> Response:
        if not self._keys.revoke(key_id):
            raise NotFound("There is no key with this id.")
        return Response(status_code=204)


def check_key_request(request: KeyRequest, now: float) -> None:
    """Raises BadRequest unless the key has the owner that its role needs, and no other, and expires after `now`."""
    for role, field, owner in (
        ("publisher", "publisher_id", request.publisher_id),
        ("account", "account_id", request.account_id),
    ):
        if (request.role == role) != (owner is not None):
            wanted = "needs" if request.role == role else "must not have"
            raise BadRequest(f"A key with role {request.role} {wanted} {field}.", field=field)
    if request.requests_per_hour and request.role in ("account", "ingest"):
        field, account = "requests_per_hour", request.role == "account"
        reason = "calls of an account are limited by its plan" if account else "events are not limited"
        raise BadRequest(f"A key with role {request.role} has no {field}: {reason}.", field=field)
    if request.expires_at and request.expires_at.timestamp() <= now:
        raise BadRequest("expires_at is in the past.", field="expires_at")


def key_view(record: KeyRecord, used_at: int | None = None) -> KeyView:
    return {
        "id": record.id,
        "role": record.role,
        "publisher_id": record.publisher_id,
        "account_id": record.account_id,
        "name": record.name,
        "created_at": iso_utc(record.created_at),
        "expires_at": _time(record.expires_at),
        "requests_per_hour": record.requests_per_hour,
        "revoked_at": _time(record.revoked_at),
        "last_used_at": _time(used_at),
    }


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else iso_utc(seconds)


def _shown_once(record: KeyRecord, key: str) -> JSONResponse:
    new: NewKey = {**key_view(record), "key": key}
    return JSONResponse(new, 201, headers={"Cache-Control": "no-store"})
