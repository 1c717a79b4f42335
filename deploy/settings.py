"""All settings: those of processes and commands, and by inheritance those of the other layers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

import api.settings


class Settings(api.settings.Settings):
    data_dir: Path = Field(Path("clickmill-data"), description="Where `up` keeps the embedded database.")
    api_url: str = Field(
        "",
        description="Where `catalog` and `keys` find the API; default: the running `up` of the data directory.",
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
