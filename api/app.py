"""The HTTP application: both calls, the admin calls and health, put together here."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI

from api.admin import admin_router
from api.answers import Answers
from api.audit import audit_router
from api.catalog import Catalog
from api.clicks import clicks_router
from api.cursor import Cursors
from api.errors import install_error_handlers
from api.freshness import Observer
from api.health import Ready, health_router
from api.hourly import hourly_router
from api.keys import KeyRing
from api.openapi import Documented, schema_router
from api.request_id import RequestId
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
    remembered answers are.
    """
    keys = keys or KeyRing(store, settings)
    catalog = Catalog(store)
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
    app.add_middleware(RequestId)
    install_error_handlers(app)
    app.include_router(clicks_router(store, keys, catalog, answers, Cursors(settings.admin_key)))
    app.include_router(hourly_router(store, settings, keys, catalog, answers))
    app.include_router(admin_router(keys, catalog, answers))
    app.include_router(audit_router(store, keys))
    app.include_router(health_router(store, ready))
    app.include_router(schema_router())
    return app
