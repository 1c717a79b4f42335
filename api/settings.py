"""Settings of the API."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

import rollups.settings
from ingest.settings import Secret, with_password


class Settings(rollups.settings.Settings):
    admin_key: Secret = Field(
        "",
        description="An API key with role admin that exists without the database; 16 characters or more.",
        repr=False,
    )
    blocked_user_agents: str = Field(
        "", description="Comma-separated parts of user agents the hourly statistics answer with 403."
    )
    plans: str = Field(
        "",
        description="What differs from the table of plans, as JSON or the path of a file that holds it: "
        '`{"Premium": {"per_minute": 400}}`. See docs/statistics.md.',
    )
    mcp_hosts: str = Field(
        "localhost,127.0.0.1,[::1]",
        description="Comma-separated names under which `/mcp` is reached, without port; `*` allows any.",
    )
    clickhouse_read_url: str = Field(
        "",
        description="URL like `CLICKMILL_CLICKHOUSE_URL` of a user that may only read, for what the API reads; "
        "default: that of the main one.",
        repr=False,
    )
    clickhouse_read_password: str = Field(
        "", description="Password for `CLICKMILL_CLICKHOUSE_READ_URL`, as it is.", repr=False
    )
    query_seconds: float = Field(10.0, gt=0, le=600, description="Longest time of a query of the API.")
    query_rows: int = Field(
        1_000_000_000, ge=1, description="Most rows that a query of the API reads; above it the answer is 400."
    )
    query_memory_mb: int = Field(2_000, ge=1, description="Most memory of a query of the API, in MB.")
    rate_limits: Literal["on", "off"] = Field("on", description="`off` counts no calls and refuses none.")
    requests_per_hour: int = Field(
        10_000, ge=1, description="Requests an hour for a key of the Clicks API that has no limit of its own."
    )
    live_streams_per_key: int = Field(
        4,
        ge=1,
        description="Streams of `/api/v1/live` that a key may have open at a process; above it the answer is 429.",
    )
    live_streams: int = Field(
        200, ge=1, description="Streams of `/api/v1/live` that a process may have open; above it the answer is 503."
    )
    redis_url: str = Field(
        "",
        description="`redis://host:6379/0`, where API processes count calls together; default: each for itself.",
        repr=False,
    )
    redis_password: str = Field("", description="Password for `CLICKMILL_REDIS_URL`, as it is.", repr=False)
    cors_origins: str = Field(
        "",
        description="Comma-separated origins, such as `https://app.example`, whose pages may call the API, "
        "`/mcp` included; `*` for all; default: none.",
    )
    web: Literal["on", "off"] = Field("on", description="`off` serves no pages for browsers, only the API.")

    @model_validator(mode="after")
    def _complete_read_and_redis_url(self) -> Self:
        self.clickhouse_read_url = with_password(self.clickhouse_read_url, self.clickhouse_read_password)
        self.redis_url = with_password(self.redis_url, self.redis_password)
        return self
