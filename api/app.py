"""The HTTP application: every call, MCP, the admin calls and health, put together here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from api.admin import admin_router
from api.answers import Answers
from api.audit import audit_router
from api.catalog import Catalog
from api.clicks import clicks_router
from api.counts import Counts
from api.cursor import Cursors
from api.daily import daily_router
from api.discovery import discovery_router
from api.freshness import Observer
from api.groups import groups_router
from api.groups_clicks import groups_clicks_router
from api.guard import guard
from api.health import Ready, health_router
from api.hourly import hourly_router
from api.keys import KeyRing
from api.limits import Limits
from api.mcp_http import McpEndpoint
from api.openapi import Documented, schema_router
from api.plans import read_plans
from api.statistics import Statistics
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
    block for long. `keys` is given where another part of the process shares the key ring. `reader` answers the
    questions, by default the store itself (see `reading_store`). `clock` tells how old remembered answers are.
    Raises RuntimeError if the settings hold a table of plans that cannot be.
    """
    keys = keys or KeyRing(store, settings)
    reader = reader or store
    catalog = Catalog(store, read_plans(settings.plans), reader)
    metrics = CollectorRegistry()
    limits = Limits(settings, metrics)
    counts = Counts(reader, metrics)
    answers = Answers(reader, Observer(reader, settings.topic), catalog.forget, clock)
    mcp = McpEndpoint(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with mcp.lifespan(app):
            yield
        await limits.close()
        await to_thread.run_sync(keys.uses.write)

    app = Documented(
        title="Clickmill",
        lifespan=lifespan,
        version="1",
        summary="Click counts by day and by hour",
        openapi_url=None,  # it is a call like any other
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.metrics = metrics  # of this process, for whoever serves them
    app.state.limits = limits
    guard(app, settings)
    app.include_router(clicks_router(reader, keys, catalog, answers, Cursors(settings.admin_key)))
    statistics = Statistics(settings, keys, limits, catalog, answers)
    app.include_router(hourly_router(statistics, counts))
    app.include_router(daily_router(statistics, counts))
    app.include_router(groups_clicks_router(statistics, counts, reader))
    app.include_router(groups_router(statistics, reader))
    app.include_router(discovery_router(app.openapi))
    app.router.routes.append(Route("/mcp", mcp))
    app.include_router(admin_router(keys, catalog, answers))
    app.include_router(audit_router(store, keys))
    app.include_router(health_router(store, ready, reader))
    app.include_router(schema_router())
    return app
