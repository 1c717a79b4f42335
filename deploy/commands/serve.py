"""Commands that serve until they are stopped (`up` and its parts), and `migrate`, which the parts need first.

Each imports its process when it runs: all together take two seconds and 200 MB.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from deploy.commands.options import listen_options, read_settings, require_settings, run_command
from ingest.kafka.admin import ensure_topics
from rollups.clickhouse import ClickHouse
from rollups.migrations.cluster import cluster_ddl, migrate_cluster
from rollups.migrations.engine_version import untested_version
from rollups.migrations.migrate import migrate as migrate_database

_MIGRATE_SECONDS = 240.0  # for one statement; a cluster waits 180 s for a node that does not respond


@click.command()
@listen_options(8080)
@click.option(
    "--kafka-port",
    type=click.IntRange(1, 65535),
    help="Port of the embedded Kafka.  [default: that of the last start in the data directory]",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where the database and the secrets live.  [default: CLICKMILL_DATA_DIR, or clickmill-data]",
)
@click.option("--demo", is_flag=True, help="Send demo traffic and print ready-made requests.")
def up(host: str, port: int, kafka_port: int | None, data_dir: Path | None, demo: bool) -> None:
    """Run everything in one process: embedded broker and database, worker, collector, API.

    Example: clickmill up --demo
    """
    from deploy.processes.demo import print_banner, serve_demo
    from deploy.processes.up import run_up

    settings = read_settings()
    if data_dir:
        settings = settings.model_copy(update={"data_dir": data_dir})
    run_command(run_up(settings, host, port, kafka_port, serve_demo if demo else print_banner))


@click.command()
@listen_options(8081)
def collector(host: str, port: int) -> None:
    """Take events over HTTP (POST /ingest/events) and publish them to Kafka.

    Example: CLICKMILL_KAFKA_URL=kafka:9092 CLICKMILL_CLICKHOUSE_URL=clickhouse://... clickmill collector
    """
    from deploy.processes.collector import run_collector

    run_command(
        run_collector(require_settings(read_settings(), "kafka_url", "clickhouse_url", "visitor_secret"), host, port)
    )


@click.command()
@listen_options(8082)
def worker(host: str, port: int) -> None:
    """Count events from Kafka into ClickHouse; start as many as there are partitions to share.

    Example: CLICKMILL_KAFKA_URL=kafka:9092 CLICKMILL_CLICKHOUSE_URL=clickhouse://... clickmill worker
    """
    from deploy.processes.worker import run_worker

    run_command(
        run_worker(require_settings(read_settings(), "kafka_url", "clickhouse_url", "visitor_secret"), host, port)
    )


@click.command()
@listen_options(8080)
def api(host: str, port: int) -> None:
    """Serve the Clicks API, the statistics and MCP from ClickHouse.

    Example: CLICKMILL_CLICKHOUSE_URL=clickhouse://... CLICKMILL_ADMIN_KEY=... clickmill api --host 0.0.0.0
    """
    from deploy.processes.api import run_api

    run_command(run_api(require_settings(read_settings(), "clickhouse_url", "admin_key"), host, port))


@click.command()
@click.option("--cluster", metavar="NAME", help="Do so on every node of this cluster of ClickHouse servers.")
@click.option("--print", "only_print", is_flag=True, help="With --cluster: only print the statements.")
def migrate(cluster: str | None, only_print: bool) -> None:
    """Bring the database to the newest version and create missing topics.

    Example: CLICKMILL_CLICKHOUSE_URL=clickhouse://... CLICKMILL_KAFKA_URL=kafka:9092 clickmill migrate
    """
    if only_print:
        if not cluster:
            raise click.UsageError("--print goes with --cluster")
        click.echo("".join(f"{statement};\n\n" for statement in cluster_ddl(cluster)), nl=False)
        return
    settings = require_settings(read_settings(), "clickhouse_url", "kafka_url")
    db, days = ClickHouse(settings.clickhouse_url, timeout=_MIGRATE_SECONDS), settings.rollup_retention_days

    async def migrate_all() -> None:
        if warning := await asyncio.to_thread(untested_version, db):
            click.echo(f"warning: {warning}", err=True)
        if cluster:
            nodes = await asyncio.to_thread(migrate_cluster, db, cluster, retention_days=days)
            click.echo(f"the {nodes} nodes of cluster {cluster} are up to date")
        else:
            names = await asyncio.to_thread(migrate_database, db, retention_days=days)
            click.echo("\n".join(f"applied {name}" for name in names) or "the database is up to date")
        await ensure_topics(settings)

    run_command(migrate_all())
