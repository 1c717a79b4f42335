"""`clickmill failover` and `clickmill rejoin`: which replica of a shard takes the inserts."""

from __future__ import annotations

import click

from deploy.commands.options import read_settings, require_settings
from ingest.errors import ClickmillError
from rollups.clickhouse import ClickHouse
from rollups.failover import Failover
from rollups.failover import rejoin as rejoin_replica

_SECONDS = 600.0  # for one statement


@click.command()
@click.argument("old")
@click.option("--yes", is_flag=True, help="Do it; without, only check that it can be done.")
@click.option("--wait", default=60, show_default=True, help="Seconds to wait for parts that are still being copied.")
def failover(old: str, yes: bool, wait: int) -> None:
    """Let the ClickHouse server at CLICKMILL_CLICKHOUSE_URL take the inserts of its shard in place of the replica OLD.

    OLD is the value of the macro {replica} on the server that is gone; it must have lost its session with Keeper. It is
    dropped from Keeper and can commit nothing any more. Exit status 0: done, or can be done; 1: refused, and nothing is
    changed unless it says so. It can be repeated.

    Example: CLICKMILL_CLICKHOUSE_URL=clickhouse://user:password@b:8123/clickmill clickmill failover a --yes
    """
    db = _database()
    try:
        step = Failover(db, old, wait)
        new = step.check()
        click.echo(f"{old} is gone from Keeper. {new} has every part that was committed, without a gap.")
        if not yes:
            click.echo(f"Nothing was changed. With --yes, {old} is dropped from Keeper and {new} takes its place.")
            return
        warnings = step.run()
        [(host,)] = db.query("SELECT hostName()")
    except ClickmillError as error:
        raise click.ClickException(str(error)) from error
    for warning in warnings:
        click.echo(f"note: {warning}")
    click.echo(
        f"{old} was dropped from Keeper: it can commit nothing any more.\n"
        "Give the workers of this shard these settings, with your password, and restart them:\n"
        f"  CLICKMILL_CLICKHOUSE_URL={db.address}\n  CLICKMILL_CLICKHOUSE_SERVER={host}\n"
        f"When {old} runs again: `clickmill rejoin` with its URL. Until then {new} has the only copy."
    )


@click.command()
def rejoin() -> None:
    """Make the server at CLICKMILL_CLICKHOUSE_URL a replica again, after a fail-over has dropped it.

    Its copies of the tables `rollup` and `seen` are deleted and copied anew from the other replicas. Does nothing on a
    server that was not dropped.

    Example: CLICKMILL_CLICKHOUSE_URL=clickhouse://user:password@a:8123/clickmill clickmill rejoin
    """
    try:
        made = rejoin_replica(_database(), click.echo)
    except ClickmillError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"copied: {', '.join(made)}" if made else "this server was not dropped; nothing was changed")


def _database() -> ClickHouse:
    return ClickHouse(require_settings(read_settings(), "clickhouse_url").clickhouse_url, timeout=_SECONDS)
