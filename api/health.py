"""`/healthz`: the process is alive. `/readyz`: every part that it needs is ready, or which ones are away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from typing_extensions import TypedDict

from api.http.openapi import example_response
from api.query.executor import DatabaseHealth
from rollups.clickhouse import ClickHouse

log = logging.getLogger(__name__)

Ready = Callable[[], Mapping[str, bool | str]]  # by part; a text is the reason why it is away


class Readiness(TypedDict):
    status: Literal["ok", "away"]
    parts: dict[str, bool]
    away: list[str]
    reasons: list[str]


_READY: Readiness = {"status": "ok", "parts": {"store": True}, "away": [], "reasons": []}
_AWAY: Readiness = {"status": "away", "parts": {"store": False}, "away": ["store"], "reasons": []}


def health_router(db: ClickHouse, ready: Ready | None, reader: ClickHouse | None = None) -> APIRouter:
    """`reader` is the client of the read-only user, if queries have one; then both must be ready."""
    router = APIRouter(tags=["health"])
    router.get(
        "/healthz",
        operation_id="isAlive",
        summary="Whether the process is alive",
        responses=example_response(200, {"status": "ok"}),
    )(healthz)
    router.get(
        "/readyz",
        operation_id="isReady",
        summary="Whether every part answers",
        response_model=Readiness,
        responses={
            **example_response(200, _READY),
            503: {"model": Readiness, "description": "A part is away", **example_response(503, _AWAY)[503]},
        },
    )(ReadinessCheck({db, reader or db}, ready).readyz)
    return router


async def healthz() -> dict[str, str]:
    return {"status": "ok"}


class ReadinessCheck:
    """Probes the databases, and asks the other parts."""

    def __init__(self, databases: Iterable[ClickHouse], ready: Ready | None) -> None:
        self._databases = [DatabaseHealth(db) for db in databases]
        self._ready = ready

    async def readyz(self) -> JSONResponse:
        others = await to_thread.run_sync(self._ready) if self._ready else {}
        troubles = await asyncio.gather(*(health.check() for health in self._databases))
        for trouble in filter(None, troubles):
            log.info("not ready: %s", trouble)
        parts = {"store": not any(troubles), **{name: answer is True for name, answer in others.items()}}
        reasons = [answer for answer in others.values() if isinstance(answer, str)]
        away = [name for name, answers in parts.items() if not answers]
        body: Readiness = {"status": "away" if away else "ok", "parts": parts, "away": away, "reasons": reasons}
        return JSONResponse(body, 503 if away else 200)
