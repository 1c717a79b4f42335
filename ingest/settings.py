"""Settings of every Clickmill process, read once from `CLICKMILL_*` environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

EMBEDDED = "embedded"
LEAST_SECRET = 16  # characters


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLICKMILL_", extra="ignore")

    kafka_url: str = Field(
        EMBEDDED, description="`embedded`, or `host:port,…` of the Kafka brokers; `embedded` only under `up`."
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Security protocol of the Kafka listeners."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="SASL mechanism, used with a `SASL_*` security protocol."
    )
    kafka_username: str = Field("", description="SASL user name.")
    kafka_password: str = Field("", description="SASL password.", repr=False)
    kafka_ca_file: Path | None = Field(
        None, description="CA certificates (PEM) for the Kafka listeners; default: the system's."
    )
    topic: str = Field("clicks", description="Topic of raw click events; dead letters go to `<topic>.dead`.")
    partitions: int = Field(12, ge=1, le=4096, description="Partitions of the topic when Clickmill creates it.")
    replication: int = Field(1, ge=1, description="Replication factor of topics that Clickmill creates.")
    retention_hours: int = Field(168, ge=1, description="Retention of topics that Clickmill creates, in hours.")
    group: str = Field("clickmill", description="Kafka consumer group of the workers.")
    clickhouse_url: str = Field(
        "",
        description="`chdb:///path` or `clickhouse://user:password@host:8123/db`; `up` has its own.",
        repr=False,
    )
    clickhouse_server: str = Field(
        "",
        description="`hostName()` of the one ClickHouse server that takes the inserts of the workers, which refuse any "
        "other; needed on ClickHouse Cloud, useful where a name may come to lead elsewhere.",
    )
    data_dir: Path = Field(Path("clickmill-data"), description="Where `up` keeps the embedded database.")
    admin_key: str = Field(
        "",
        description="An API key with role admin that exists without the database; 16 characters or more.",
        repr=False,
    )
    api_url: str = Field(
        "",
        description="Where `catalog` and `keys` find the API; default: the running `up` of the data directory.",
    )
    visitor_secret: str = Field(
        "",
        description="Key of the hashes that stand for users and addresses, 16 characters or more, the same for "
        "collectors, producers and workers; keep it, or users change.",
        repr=False,
    )
    keep_addresses: bool = Field(
        False, description="Leaves addresses in events and dead letters as they are; else keyed hashes replace them."
    )
    rollup_retention_days: int = Field(
        0, ge=0, description="Rollup rows older than this many days are deleted; 0 keeps all."
    )
    batch_linger_ms: int = Field(
        100, ge=0, le=10_000, description="Least time between two inserts of a worker, in milliseconds."
    )
    batch_max_events: int = Field(100_000, ge=1, description="Most events of one insert.")
    dedupe_horizon_minutes: int = Field(
        60, ge=1, description="How long an event id is remembered, in minutes of the log's time."
    )
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
    future_tolerance_minutes: int = Field(
        60, ge=0, description="How far a click may be ahead of the time at which the log took it in, in minutes."
    )
    collector_buffer_events: int = Field(
        20_000,
        ge=1,
        description="Events a collector or producer holds unacknowledged before it makes callers wait.",
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
    query_seconds: float = Field(10.0, gt=0, le=600, description="Longest time of a query of the API.")
    query_rows: int = Field(
        1_000_000_000, ge=1, description="Most rows that a query of the API reads; above it the answer is 400."
    )
    query_memory_mb: int = Field(2_000, ge=1, description="Most memory of a query of the API, in MB.")
    rate_limits: Literal["on", "off"] = Field("on", description="`off` counts no calls and refuses none.")
    requests_per_hour: int = Field(
        10_000, ge=1, description="Requests an hour for a key of the Clicks API that has no limit of its own."
    )
    redis_url: str = Field(
        "",
        description="`redis://host:6379/0`, where API processes count calls together; default: each for itself.",
        repr=False,
    )
    cors_origins: str = Field(
        "",
        description="Comma-separated origins, such as `https://app.example`, whose pages may call the API, "
        "`/mcp` included; `*` for all; default: none.",
    )
    trusted_proxies: str = Field(
        "",
        description="Comma-separated addresses or networks of proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed; default: none.",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of `/metrics` for Prometheus, of `api`, `worker`, `collector` and `up`; 0 serves none.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address that `/metrics` listens on.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Level of the process log.")

    @field_validator("admin_key", "visitor_secret")
    @classmethod
    def _is_long_enough(cls, secret: str) -> str:
        """A short one is found by trying. None at all is for each command to judge."""
        if 0 < len(secret) < LEAST_SECRET:
            raise ValueError(
                f"{len(secret)} characters are too few for a secret, use {LEAST_SECRET} or more: "
                "`openssl rand -hex 32` makes a good one"
            )
        return secret

    @property
    def heartbeat_seconds(self) -> float:
        return min(3.0, self.session_timeout_seconds / 5)

    @property
    def dead_topic(self) -> str:
        return f"{self.topic}.dead"


def listed(setting: str) -> list[str]:
    """The items of a comma-separated setting."""
    return [part.strip() for part in setting.split(",") if part.strip()]
