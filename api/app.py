"""The HTTP application: every call, MCP, the admin calls and health, put together here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import Route
from starlette.types import Lifespan

from api.access.authentication import Authentication
from api.access.keys import KeyRing
from api.access.plans import read_plans
from api.access.rate_limits import RateLimiter
from api.admin.audit import audit_router
from api.admin.endpoints import AdminEndpoints
from api.admin.log_status import log_status_router
from api.admin.owners import owners_router
from api.catalog.callers import Callers
from api.catalog.catalog import Catalog
from api.catalog.own_key import OwnKeyEndpoint
from api.clicks.cursor import Cursors
from api.clicks.endpoint import ClicksEndpoint
from api.health import Ready, health_router
from api.http.middleware import install_middleware
from api.http.openapi import DocumentedApp, schema_router
from api.insights.common import Insights
from api.insights.series import SeriesEndpoint
from api.insights.top import TopEndpoint
from api.integration.endpoint import IntegrationEndpoint
from api.live.endpoint import LiveEndpoint
from api.live.feed import ChangeFeed
from api.live.streams import LiveStreams
from api.mcp.discovery import Discovery
from api.mcp.endpoint import McpEndpoint
from api.query.change_detection import ChangeDetector
from api.query.response_cache import ResponseCache
from api.settings import Settings
from api.statistics.clicks_by_date import ClicksByDate
from api.statistics.clicks_by_group import ClicksByGroup
from api.statistics.clicks_by_hour import ClicksByHour
from api.statistics.common import Statistics
from api.statistics.group_list import GroupList
from api.statistics.queries import ClickCounts
from api.web.pages import WebPages
from rollups.clickhouse import ClickHouse


def create_app(
    db: ClickHouse,
    settings: Settings,
    *,
    ready: Ready | None = None,
    keys: KeyRing | None = None,
    reader: ClickHouse | None = None,
    clock: Callable[[], float] = time.monotonic,
    demo_keys: Mapping[str, str] | None = None,
) -> FastAPI:
    """The application over a migrated database.

    `ready` tells `/readyz` which other parts of the process are ready; it is called in a thread and must not block for
    long. `keys` is for a process whose other parts share the key ring. Queries of the calls go to `reader`, by default
    to `db` (see `read_only_client`). `clock`, in seconds, is that of the response cache. `demo_keys`, by role, are
    offered on the first page.
    Raises OperatorError if `CLICKMILL_PLANS` is wrong.
    """
    keys = keys or KeyRing(db, settings)
    reader = reader or db
    catalog = Catalog(db, read_plans(settings.plans), reader)
    metrics = CollectorRegistry()
    limiter = RateLimiter(settings, metrics)
    authentication = Authentication(settings, keys, limiter)
    detector = ChangeDetector(reader, settings.topic)
    cache = ResponseCache(reader, detector, catalog.clear_names, clock)
    callers = Callers(authentication, limiter, catalog, cache)
    streams = LiveStreams(ChangeFeed(cache, detector), settings, metrics)
    mcp = McpEndpoint(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with mcp.lifespan(app):
            yield
        await limiter.close()
        await to_thread.run_sync(keys.uses.write)

    app = _app_without_routes(settings, lifespan)
    app.state.metrics, app.state.end_streams = metrics, streams.stop  # served and called by the process
    app.include_router(ClicksEndpoint(reader, authentication, catalog, cache, Cursors(settings.admin_key)).router())
    _include_insights(app, LiveEndpoint(authentication, callers, streams), Insights(callers, cache), reader, catalog)
    _include_statistics(app, Statistics(authentication, limiter, catalog, cache), ClickCounts(reader, metrics), reader)
    _include_discovery(app, OwnKeyEndpoint(authentication, callers))
    app.router.routes.append(Route("/mcp", mcp))
    _include_admin(app, AdminEndpoints(authentication, keys, catalog, cache), db, settings, authentication)
    app.include_router(health_router(db, ready, reader))
    if settings.web == "on":
        WebPages({} if demo_keys is None else demo_keys).install(app)
    return app


def _app_without_routes(settings: Settings, lifespan: Lifespan[FastAPI]) -> FastAPI:
    app = DocumentedApp(
        title="Clickmill",
        lifespan=lifespan,
        version="1",
        summary="Click counts by day and by hour",
        openapi_url=None,  # `schema_router` serves it
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_middleware(app, settings)
    return app


def _include_discovery(app: FastAPI, own_key: OwnKeyEndpoint) -> None:
    app.include_router(own_key.router())
    app.include_router(Discovery(app.openapi).router())
    app.include_router(IntegrationEndpoint().router())
    app.include_router(schema_router())


def _include_admin(
    app: FastAPI, endpoints: AdminEndpoints, db: ClickHouse, settings: Settings, authentication: Authentication
) -> None:
    app.include_router(endpoints.router())
    app.include_router(owners_router(db, authentication))
    app.include_router(audit_router(db, authentication))
    app.include_router(log_status_router(db, settings, authentication))


def _include_insights(
    app: FastAPI, live: LiveEndpoint, insights: Insights, reader: ClickHouse, catalog: Catalog
) -> None:
    app.include_router(live.router())
    app.include_router(SeriesEndpoint(reader, insights).router())
    app.include_router(TopEndpoint(reader, catalog, insights).router())


def _include_statistics(app: FastAPI, statistics: Statistics, counts: ClickCounts, reader: ClickHouse) -> None:
    app.include_router(ClicksByHour(statistics, counts).router())
    app.include_router(ClicksByDate(statistics, counts).router())
    app.include_router(ClicksByGroup(statistics, counts, reader).router())
    app.include_router(GroupList(statistics, reader).router())
