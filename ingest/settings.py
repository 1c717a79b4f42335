"""Settings of the ground layer: Kafka, and what a click may be.

They are read from environment variables `CLICKMILL_*`, else from files of these names, in small letters, in
`/run/secrets`, where container engines mount secrets.

Each layer adds its own to those of the layer before it, in rollups/settings.py, api/settings.py and deploy/settings.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

EMBEDDED = "embedded"
MIN_SECRET_LENGTH = 16
_SECRETS = Path("/run/secrets")


def _check_length(secret: str) -> str:
    """A short secret can be guessed. Each command decides whether it may be missing."""
    if 0 < len(secret) < MIN_SECRET_LENGTH:
        raise ValueError(
            f"{len(secret)} characters are too few for a secret, use {MIN_SECRET_LENGTH} or more: "
            "`openssl rand -hex 32` makes a good one"
        )
    return secret


Secret = Annotated[str, AfterValidator(_check_length)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="CLICKMILL_",
        extra="ignore",
        secrets_dir=_SECRETS if _SECRETS.is_dir() else None,  # pydantic warns of a directory that is missing
    )

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
    visitor_secret: Secret = Field(
        "",
        description="Key of the hashes that stand for users and addresses, 16 characters or more, the same for "
        "collectors, producers and workers; keep it, or users change.",
        repr=False,
    )
    keep_addresses: bool = Field(
        False, description="Leaves addresses in events and dead letters as they are; else keyed hashes replace them."
    )
    dedupe_horizon_minutes: int = Field(
        60, ge=1, description="How long an event id is remembered, in minutes of the log's time."
    )
    future_tolerance_minutes: int = Field(
        60, ge=0, description="How far a click may be ahead of the time at which the log took it in, in minutes."
    )
    collector_buffer_events: int = Field(
        20_000,
        ge=1,
        description="Events a collector or producer holds unacknowledged before it makes callers wait.",
    )

    @property
    def dead_topic(self) -> str:
        return f"{self.topic}.dead"


def with_password(url: str, password: str) -> str:
    """The URL with the password, which may have any characters; unchanged if it is empty."""
    if not password:
        return url
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def split_list(setting: str) -> list[str]:
    """The items of a comma-separated setting."""
    return [part.strip() for part in setting.split(",") if part.strip()]
