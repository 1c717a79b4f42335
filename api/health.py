"""`/healthz`: the process is alive. `/readyz`: everything it needs answers; otherwise which part is away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from typing_extensions import TypedDict

from rollups.store import Store

Ready = Callable[[], Mapping[str, bool]]


class Readiness(TypedDict):
    status: Literal["ok", "away"]
    parts: dict[str, bool]
    away: list[str]


def health_router(store: Store, ready: Ready | None) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", operation_id="isAlive", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        operation_id="isReady",
        summary="Whether every part answers",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "A part is away"}},
    )
    def readyz() -> JSONResponse:
        parts = {"store": store.ping(), **(ready() if ready else {})}
        away = [name for name, answers in parts.items() if not answers]
        body: Readiness = {"status": "away" if away else "ok", "parts": parts, "away": away}
        return JSONResponse(body, 503 if away else 200)

    return router
