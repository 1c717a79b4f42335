"""What the commands share: settings, options, and how a run ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from deploy.home import NotRunning, with_broker
from ingest.settings import Settings
from rollups.store import StoreError

log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., Any])


def read_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"CLICKMILL_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise click.UsageError(f"wrong settings: {faults}") from error


def dialled_settings() -> Settings:
    """Settings whose Kafka can be dialled, by way of a running `up` if they name none."""
    try:
        return with_broker(read_settings())
    except NotRunning as error:
        raise click.ClickException(str(error)) from error


def listens(port: int) -> Callable[[Command], Command]:
    """The options of a command that serves HTTP."""

    def decorate(command: Command) -> Command:
        with_port = click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=port,
            show_default=True,
            help="Port to listen on; 0 takes a free one.",
        )
        with_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
        return with_host(with_port(command))

    return decorate


def required(settings: Settings, *names: str) -> Settings:
    """Refuses to start without settings that have no safe default outside `up`."""
    missing = [f"CLICKMILL_{name.upper()}" for name in names if getattr(settings, name) in ("", "embedded")]
    if missing:
        raise click.UsageError(f"set {', '.join(missing)}: only `clickmill up` runs without; see docs/settings.md")
    return settings


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Runs to the end; what cannot be helped becomes one line and exit status 1."""
    try:
        return asyncio.run(main)
    except (RuntimeError, NotRunning, OSError, StoreError) as error:
        log.debug("failed", exc_info=True)
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(130)
