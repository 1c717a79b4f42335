"""`clickmill import` and `clickmill simulate`: publish clicks from log files, or simulated ones."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.commands.options import client_settings, data_dir_option, producer_settings, run_command
from ingest.importers.run import run_import
from ingest.kafka.admin import ensure_topics
from ingest.producer import ClickProducer
from ingest.simulator.traffic import run_simulation


@click.command("import")
@data_dir_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["events", "bitly", "combined"]),
    required=True,
    help="Format of a line.",
)
@click.option(
    "--account-id",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="combined: the account that the links belong to.",
)
@click.option("--domain", default="localhost", show_default=True, help="combined: the domain of the links.")
@click.option("--skip-bad", is_flag=True, help="Exit 0 although lines could not be read.")
def import_file(file: Path, kind: str, account_id: int, domain: str, skip_bad: bool) -> None:
    """Publish the clicks of a log FILE (plain or .gz). A second import within the hour changes nothing.

    Example: clickmill import access.log.gz --format combined --domain go.example.com
    """
    settings = producer_settings()

    async def publish() -> bool:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            summary = await run_import(producer.send, file, kind, account_id=account_id, domain=domain)
        click.echo(summary)
        return bool(summary.rejected)

    if run_command(publish()) and not skip_bad:
        sys.exit(1)


@click.command()
@data_dir_option
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=100.0, show_default=True, help="Events per second."
)
@click.option("--count", type=click.IntRange(1), help="Stop after this many events; default: until interrupted.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same users, links and order.")
def simulate(rate: float, count: int | None, seed: int) -> None:
    """Publish simulated clicks: Zipf links, returning users, bots, retries.

    Example: clickmill simulate --rate 1000 --count 60000
    """
    settings = client_settings()

    async def publish() -> None:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            click.echo(await run_simulation(producer.send, seed=seed, count=count, rate=rate))

    run_command(publish())
