"""The database as the API reads it: with a user of its own if there is one, within limits in any case."""

from __future__ import annotations

from typing import Any

from ingest.settings import Settings
from rollups.clickhouse import Store

ACQUIRE_TIMEOUT_SECONDS = 1.8  # for a free connection
_MARGIN_SECONDS = 5.0  # in which ClickHouse tells that the time of a query is over


def read_only_client(settings: Settings) -> Store:
    """A store that can only read."""
    return Store(
        settings.clickhouse_read_url or settings.clickhouse_url,
        connect=1.0,
        timeout=settings.query_seconds + _MARGIN_SECONDS,
        patience=ACQUIRE_TIMEOUT_SECONDS,
        settings=read_limits(settings),
    )


def read_limits(settings: Settings) -> dict[str, Any]:
    """Settings of every query. deploy/clickhouse/clickmill_read.xml caps them for a server's own user."""
    return {
        "readonly": 2,  # no writes, and this cannot be set back
        "max_execution_time": settings.query_seconds,
        "timeout_overflow_mode": "throw",
        "max_rows_to_read": settings.query_rows,
        "read_overflow_mode": "throw",
        "max_memory_usage": settings.query_memory_mb * 1_000_000,
        "cancel_http_readonly_queries_on_client_close": 1,
    }
