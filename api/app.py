"""The HTTP application: both calls, the admin calls and health, put together here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI

from api.admin import admin_router
from api.answers import Answers
from api.audit import audit_router
from api.catalog import Catalog
from api.clicks import clicks_router
from api.freshness import Observer
from api.guard import guard
from api.health import Ready, health_router
from api.hourly import hourly_router
from api.keys import KeyRing
from api.limits import Limits
from api.plans import read_plans
from ingest.settings import Settings
from rollups.store import Store


def create_app(
    store: Store,
    settings: Settings,
    *,
    ready: Ready | None = None,
    keys: KeyRing | None = None,
    reader: Store | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The application over a migrated database.

    `ready` tells `/readyz` which other parts of the process answer; it is called from a thread and must not
    block for long. `keys` is given where another part of the process shares the key ring. `clock` tells how old
    remembered answers are. Raises RuntimeError if the settings hold a table of plans that cannot be.
    """
    keys, limits = keys or KeyRing(store, settings), Limits(settings)
    reader = reader or store
    catalog = Catalog(store, read_plans(settings.plans))
    answers = Answers(reader, Observer(reader, settings.topic), catalog.forget, clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await limits.close()
        await to_thread.run_sync(keys.uses.write)

    app = FastAPI(
        title="Clickmill",
        lifespan=lifespan,
        version="1",
        summary="Click counts by day and by hour",
        openapi_url="/api/v1/schema",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.limits = limits
    guard(app, settings)
    app.include_router(clicks_router(reader, keys, catalog, answers))
    app.include_router(hourly_router(reader, settings, keys, catalog, answers))
    app.include_router(admin_router(keys, catalog, answers))
    app.include_router(audit_router(store, keys))
    app.include_router(health_router(store, ready))
    return app
