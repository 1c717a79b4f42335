"""The HTTP application: both calls, the admin calls and health, put together here."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.admin import admin_router
from api.answers import Answers
from api.audit import audit_router
from api.catalog import Catalog
from api.clicks import clicks_router
from api.counts import Counts
from api.cursor import Cursors
from api.daily import daily_router
from api.errors import install_error_handlers
from api.freshness import Observer
from api.groups import groups_router
from api.groups_clicks import groups_clicks_router
from api.health import Ready, health_router
from api.hourly import hourly_router
from api.keys import KeyRing
from api.openapi import Documented, schema_router
from api.plans import read_plans
from api.request_id import RequestId
from api.statistics import Statistics
from ingest.settings import Settings
from rollups.store import Store


def create_app(
    store: Store,
    settings: Settings,
    *,
    ready: Ready | None = None,
    keys: KeyRing | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The application over a migrated database.

    `ready` tells `/readyz` which other parts of the process answer; it is called from a thread and must not
    block for long. `keys` is given where another part of the process shares the key ring. `clock` tells how old
    remembered answers are. Raises RuntimeError if the settings hold a table of plans that cannot be.
    """
    keys = keys or KeyRing(store, settings)
    catalog = Catalog(store, read_plans(settings.plans))
    metrics = CollectorRegistry()
    counts = Counts(store, metrics)
    answers = Answers(Observer(store, settings.topic), catalog.forget, clock)

    app = Documented(
        title="Clickmill",
        version="1",
        summary="Click counts by day and by hour",
        openapi_url=None,  # it is a call like any other
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.metrics = metrics  # of this process, for whoever serves them
    app.add_middleware(RequestId)
    install_error_handlers(app)
    app.include_router(clicks_router(store, keys, catalog, answers, Cursors(settings.admin_key)))
    statistics = Statistics(settings, keys, catalog, answers)
    app.include_router(hourly_router(statistics, counts))
    app.include_router(daily_router(statistics, counts))
    app.include_router(groups_clicks_router(statistics, counts, store))
    app.include_router(groups_router(statistics, store))
    app.include_router(admin_router(keys, catalog, answers))
    app.include_router(audit_router(store, keys))
    app.include_router(health_router(store, ready))
    app.include_router(schema_router())
    return app
