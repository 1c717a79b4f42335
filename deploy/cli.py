"""The `clickmill` command. Exit status: 0 done, 1 failed, 2 used wrongly."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from deploy.admin import AdminClient
from deploy.demo import greet, serve_demo
from deploy.home import NotRunning, with_broker
from deploy.processes import run_api, run_collector, run_worker
from deploy.up import run_up
from ingest.importers.run import run_import
from ingest.kafka import ensure_topics
from ingest.producer import ClickProducer
from ingest.settings import Settings
from ingest.simulate import run_simulation
from rollups.migrate import migrate as migrate_store
from rollups.store import Store

log = logging.getLogger("clickmill")

Command = TypeVar("Command", bound=Callable[..., Any])


def read_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"CLICKMILL_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise click.UsageError(f"wrong settings: {faults}") from error


def listens(port: int) -> Callable[[Command], Command]:
    """The options of a command that serves HTTP."""

    def decorate(command: Command) -> Command:
        with_port = click.option(
            "--port", default=port, show_default=True, help="Port to listen on; 0 takes a free one."
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
    except (RuntimeError, NotRunning, OSError) as error:
        log.debug("failed", exc_info=True)
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="clickmill")
def main() -> None:
    """Click pipeline: events in, exact hourly and daily counts out.

    Settings are CLICKMILL_* environment variables; docs/settings.md lists them.
    """
    level = read_settings().log_level
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("faust", "mode", "aiokafka", "rollups.transport"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for reported_by_us in ("aiokafka", "clickhouse_connect", "urllib3"):
        logging.getLogger(reported_by_us).setLevel(logging.CRITICAL)


@main.command()
@listens(8080)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the database lives.  [default: clickmill-data]"
)
@click.option("--demo", is_flag=True, help="Send demo traffic and print ready-made calls.")
def up(host: str, port: int, data_dir: Path | None, demo: bool) -> None:
    """Run everything in one process: embedded broker and database, worker, collector, API.

    Example: clickmill up --demo
    """
    settings = read_settings()
    if data_dir:
        settings = settings.model_copy(update={"data_dir": data_dir})
    run(run_up(settings, host, port, serve_demo if demo else greet))


@main.command()
@listens(8081)
def collector(host: str, port: int) -> None:
    """Take events over HTTP (POST /ingest/events) and publish them to Kafka.

    Example: CLICKMILL_KAFKA_URL=kafka:9092 CLICKMILL_CLICKHOUSE_URL=clickhouse://... clickmill collector
    """
    run(run_collector(required(read_settings(), "kafka_url", "clickhouse_url"), host, port))


@main.command()
@listens(8082)
def worker(host: str, port: int) -> None:
    """Count events from Kafka into ClickHouse; start as many as there are partitions to share.

    Example: CLICKMILL_KAFKA_URL=kafka:9092 CLICKMILL_CLICKHOUSE_URL=clickhouse://... clickmill worker
    """
    run(run_worker(required(read_settings(), "kafka_url", "clickhouse_url", "visitor_secret"), host, port))


@main.command()
@listens(8080)
def api(host: str, port: int) -> None:
    """Answer the Clicks API and the hourly statistics from ClickHouse.

    Example: CLICKMILL_CLICKHOUSE_URL=clickhouse://... CLICKMILL_ADMIN_KEY=... clickmill api --host 0.0.0.0
    """
    run(run_api(required(read_settings(), "clickhouse_url", "admin_key"), host, port))


@main.command()
def migrate() -> None:
    """Bring the database to the newest version and create missing topics.

    Example: CLICKMILL_CLICKHOUSE_URL=clickhouse://... CLICKMILL_KAFKA_URL=kafka:9092 clickmill migrate
    """
    settings = required(read_settings(), "clickhouse_url", "kafka_url")

    async def migrate_both() -> None:
        names = await asyncio.to_thread(
            migrate_store, Store(settings.clickhouse_url), retention_days=settings.rollup_retention_days
        )
        await ensure_topics(settings)
        click.echo("\n".join(f"applied {name}" for name in names) or "the database is up to date")

    run(migrate_both())


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["events", "bitly", "combined"]),
    required=True,
    help="What a line is.",
)
@click.option("--account-id", default=1, show_default=True, help="combined: the account that the links belong to.")
@click.option("--domain", default="localhost", show_default=True, help="combined: the domain of the links.")
@click.option("--skip-bad", is_flag=True, help="Exit 0 although lines could not be read.")
def import_file(file: Path, kind: str, account_id: int, domain: str, skip_bad: bool) -> None:
    """Publish the clicks of a log FILE (plain or .gz). A second import of the same file changes nothing.

    Example: clickmill import access.log.gz --format combined --domain go.example.com
    """
    settings = with_broker(read_settings())

    async def publish() -> bool:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            summary = await run_import(producer.send, file, kind, account_id=account_id, domain=domain)
        click.echo(summary)
        return bool(summary.rejected)

    if run(publish()) and not skip_bad:
        sys.exit(1)


@main.command()
@click.option("--rate", default=100.0, show_default=True, help="Events per second.")
@click.option("--count", type=int, help="Stop after this many events; default: until interrupted.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same users, links and order.")
def simulate(rate: float, count: int | None, seed: int) -> None:
    """Publish made-up clicks: Zipf links, returning users, bots, retries.

    Example: clickmill simulate --rate 1000 --count 60000
    """
    settings = with_broker(read_settings())

    async def publish() -> None:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            click.echo(await run_simulation(producer.send, seed=seed, count=count, rate=rate))

    run(publish())


@main.group()
def catalog() -> None:
    """What ids mean: accounts, links, groups, publishers, advertisers, networks."""


@catalog.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def catalog_import(file: Path) -> None:
    """Add or change entries from a JSON FILE in the form of PUT /admin/catalog.

    Example: clickmill catalog import catalog.json
    """
    try:
        entries = json.loads(file.read_text())
    except ValueError as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from error
    click.echo(json.dumps(admin_call("PUT", "/admin/catalog", entries)))


@main.group()
def keys() -> None:
    """API keys: make, list, revoke."""


@keys.command("create")
@click.option("--role", type=click.Choice(["admin", "publisher", "account", "ingest"]), required=True)
@click.option("--publisher-id", type=int, help="With role publisher.")
@click.option("--account-id", type=int, help="With role account.")
@click.option("--name", default="", help="What the key is for.")
def keys_create(role: str, publisher_id: int | None, account_id: int | None, name: str) -> None:
    """Make a key; it is shown once.

    Example: clickmill keys create --role account --account-id 1
    """
    wish = {"role": role, "publisher_id": publisher_id, "account_id": account_id, "name": name}
    answer = admin_call(
        "POST", "/admin/keys", {field: value for field, value in wish.items() if value not in (None, "")}
    )
    click.echo(json.dumps(answer, indent=1))


@keys.command("list")
def keys_list() -> None:
    """List keys, without the keys themselves.

    Example: clickmill keys list
    """
    click.echo(json.dumps(admin_call("GET", "/admin/keys"), indent=1))


@keys.command("revoke")
@click.argument("key_id")
def keys_revoke(key_id: str) -> None:
    """End a key by its id.

    Example: clickmill keys revoke 4f1c9a0b2d3e5f60
    """
    admin_call("DELETE", f"/admin/keys/{key_id}")
    click.echo(f"{key_id} is revoked")


def admin_call(method: str, path: str, body: Any = None) -> Any:
    try:
        return AdminClient(read_settings()).call(method, path, body)
    except (RuntimeError, NotRunning) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
