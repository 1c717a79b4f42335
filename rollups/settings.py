"""Settings of the worker and its database."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

import ingest.settings
from ingest.settings import with_password


class Settings(ingest.settings.Settings):
    clickhouse_url: str = Field(
        "",
        description="`chdb:///path` or `clickhouse://user:password@host:8123/db`; `up` has its own.",
        repr=False,
    )
    clickhouse_password: str = Field(
        "",
        description="Password for `CLICKMILL_CLICKHOUSE_URL`, as it is; in the URL it must be percent-encoded.",
        repr=False,
    )
    clickhouse_server: str = Field(
        "",
        description="`hostName()` of the one ClickHouse server that takes the inserts of the workers, which refuse any "
        "other; needed on ClickHouse Cloud, useful where a name may come to lead elsewhere.",
    )
    rollup_retention_days: int = Field(
        0, ge=0, description="Rollup rows older than this many days are deleted; 0 keeps all."
    )
    batch_linger_ms: int = Field(
        100, ge=0, le=10_000, description="Least time between two inserts of a worker, in milliseconds."
    )
    batch_max_events: int = Field(100_000, ge=1, description="Most events of one insert.")
    dedupe_max_keys: int = Field(
        10_000_000,
        ge=1,
        description="Most event ids, and as many repeats, that are remembered of a partition; clicks beyond it are "
        "counted as unverified.",
    )
    repeat_seconds: int = Field(
        5,
        ge=0,
        le=3600,
        description="Clicks of one user on one link in one slot of so many seconds count once; 0 counts all.",
    )
    poison_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A partition stands still if more than this share of its last 10,000 records would be dead "
        "letters; 1 never stops.",
    )
    session_timeout_seconds: float = Field(
        30.0, gt=0, le=80, description="A worker silent for this long loses its partitions."
    )

    @model_validator(mode="after")
    def _complete_clickhouse_url(self) -> Self:
        self.clickhouse_url = with_password(self.clickhouse_url, self.clickhouse_password)
        return self

    @property
    def heartbeat_seconds(self) -> float:
        return min(3.0, self.session_timeout_seconds / 5)
