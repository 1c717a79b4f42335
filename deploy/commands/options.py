"""Shared by the commands: settings, options, and exit status."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from deploy.embedded.data_dir import with_running_broker
from deploy.settings import Settings
from ingest.errors import ClickmillError, OperatorError
from ingest.kafka.admin import KafkaError
from ingest.settings import EMBEDDED

log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., Any])


_DATA_DIR_KEY = "clickmill.up"  # the data directory that --data-dir names


def read_settings() -> Settings:
    """Settings from the environment; --data-dir has precedence."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise click.UsageError(f"wrong settings: {'; '.join(map(_fault, error.errors()))}") from error
    context = click.get_current_context(silent=True)
    if context is not None and (data_dir := context.meta.get(_DATA_DIR_KEY)):
        return settings.model_copy(update={"data_dir": data_dir, "kafka_url": EMBEDDED, "api_url": ""})
    return settings


def _fault(error: Any) -> str:
    """The error without the value, which may be a secret."""
    return f"CLICKMILL_{str(error['loc'][0]).upper()}: {error['msg'].removeprefix('Value error, ')}"


def client_settings() -> Settings:
    """Settings with a Kafka address: their own, or that of a running `up`."""
    try:
        return with_running_broker(read_settings())
    except OperatorError as error:
        raise click.ClickException(str(error)) from error


def producer_settings() -> Settings:
    """As `client_settings`, but requires the secret that hides addresses, unless addresses are kept."""
    settings = client_settings()
    return settings if settings.keep_addresses else require_settings(settings, "visitor_secret")


def data_dir_option(command: Command) -> Command:
    """Adds `--data-dir` to a command that works on a running `up`."""

    def remember(context: click.Context, _option: click.Parameter, data_dir: Path | None) -> None:
        context.meta[_DATA_DIR_KEY] = data_dir

    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=remember,
        help="Data directory of the running `up` to work on.  [default: the settings, or CLICKMILL_DATA_DIR]",
    )(command)


def listen_options(port: int) -> Callable[[Command], Command]:
    """Adds `--host` and `--port` to a command that serves HTTP."""

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


def require_settings(settings: Settings, *names: str) -> Settings:
    """UsageError if one of these settings, which have no safe default outside `up`, is missing."""
    missing = [f"CLICKMILL_{name.upper()}" for name in names if getattr(settings, name) in ("", "embedded")]
    if missing:
        raise click.UsageError(f"set {', '.join(missing)}: only `clickmill up` runs without; see docs/settings.md")
    return settings


def run_command(main: Coroutine[Any, Any, Any]) -> Any:
    """Runs to the end. Errors that an operator can mend become one line and exit status 1."""
    try:
        return asyncio.run(main)
    except (ClickmillError, KafkaError, OSError) as error:
        log.debug("failed", exc_info=True)
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        logging.disable()  # interrupted clients warn that they were not closed
        sys.exit(130)
