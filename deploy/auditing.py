"""`clickmill audit`: the rollups against themselves and against the log, on a live system."""

from __future__ import annotations

import sys
import time
from collections import Counter
from datetime import date, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.administering import admin_call
from deploy.options import dialled_settings, of_data_dir, run
from ingest.kafka import topic_identity
from ingest.reader import log_bounds, read_topic
from ingest.settings import Settings
from rollups.recount import Recount, Zones
from rollups.sources import source_number

_REASONS = ("counted", "bot", "prefetch", "duplicate", "repeat", "invalid", "future")
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@of_data_dir
@click.option("--from", "first", type=_DAY, help="Recount from this day on (with --to).")
@click.option("--to", "last", type=_DAY, help="Recount up to this day.")
def audit(first: datetime | None, last: datetime | None) -> None:
    """Account for every record of the topic; exit 1 if anything does not add up.

    With --from and --to the log is read again and the clicks of these days, as their owners' zones cut them, are
    counted a second time.

    Example: clickmill audit --from 2026-03-01 --to 2026-03-31
    """
    if (first is None) != (last is None):
        raise click.UsageError("--from and --to go together")
    settings = dialled_settings()
    days = f"?from={first.date()}&to={last.date()}" if first and last else ""
    report = admin_call("GET", f"/admin/audit{days}")
    source, bounds = run(_log(settings))
    _show(report["partitions"], source, bounds)
    problems = report["problems"] + _log_problems(report["partitions"], source, bounds)
    if first and last:
        complete = all(low == 0 for low, _, _ in bounds.values()) and not _others(report["partitions"], source)
        recount = run(_recount(settings, report, source))
        problems += _compare_days(report["days"], recount, first.date(), last.date(), complete)
    for problem in problems:
        click.echo(f"does not add up: {problem}")
    if problems:
        sys.exit(1)
    click.echo("Everything adds up.")


async def _log(settings: Settings) -> tuple[int, dict[int, tuple[int, int, int | None]]]:
    cluster_id, topic_id = await topic_identity(settings, settings.topic)
    return source_number(cluster_id, settings.topic, topic_id), await log_bounds(settings, settings.topic)


def _show(accounts: list[dict[str, Any]], source: int, bounds: dict[int, tuple[int, int, int | None]]) -> None:
    """A line for each partition, one for all earlier incarnations of the topic together, and the total."""
    table = Table("partition", "read", *_REASONS, "gaps", "unverified", "watermark", "commit", "lag", box=None)
    for column in table.columns:
        column.justify, column.no_wrap = "right", True
    total: Counter[str] = Counter()
    earlier: Counter[str] = Counter()
    for account in accounts:
        counts = Counter(account["events"], unverified=account["unverified"], gap=account["records"].get("gap", 0))
        total += counts
        if account["source"] != source:
            earlier += counts
            continue
        watermark = account["watermark"]
        _, end, commit = bounds.get(account["partition"], (0, watermark, None))
        place = [str(watermark), "-" if commit is None else str(commit), str(max(0, end - watermark))]
        table.add_row(str(account["partition"]), *_cells(counts), *place)
    if earlier:
        table.add_row("earlier", *_cells(earlier))
    table.add_row("all", *_cells(total))
    Console(width=max(160, Console().width)).print(table)


def _cells(counts: Counter[str]) -> list[str]:
    read = sum(counts[reason] for reason in _REASONS)
    return [str(number) for number in (read, *(counts[reason] for reason in (*_REASONS, "gap", "unverified")))]


def _others(accounts: list[dict[str, Any]], source: int) -> bool:
    return any(account["source"] != source for account in accounts)


def _log_problems(
    accounts: list[dict[str, Any]], source: int, bounds: dict[int, tuple[int, int, int | None]]
) -> list[str]:
    problems = []
    for account in accounts:
        low = bounds.get(account["partition"], (0, 0, None))[0]
        if account["source"] == source and low > account["watermark"]:
            problems.append(
                f"partition {account['partition']}: offsets {account['watermark']} to {low - 1} were lost to retention "
                "before they were counted"
            )
    return problems


async def _recount(settings: Settings, report: dict[str, Any], source: int) -> Recount:
    """Reads each partition up to the watermark that the days were read at."""
    upto = {partition: watermark for of, partition, watermark in report["days"]["watermarks"] if of == source}
    zones = {table: {int(owner): zone for owner, zone in found.items()} for table, found in report["zones"].items()}
    recount = Recount(settings, Zones(zones["accounts"], zones["publishers"]), time.time_ns() // 1_000_000)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("reading the log again", total=sum(upto.values()))
        async for records in read_topic(settings, settings.topic):
            for record in records:
                if record.offset < upto.get(record.partition, 0):
                    recount.add(record.partition, record.timestamp, record.value)
            progress.advance(task, len(records))
    return recount


def _compare_days(served: dict[str, Any], recount: Recount, first: date, last: date, complete: bool) -> list[str]:
    """The served numbers equal the recount, or exceed it where the log no longer holds everything."""
    problems = []
    for kind, again in (("links", recount.links), ("placements", recount.placements)):
        recounted = {day.isoformat(): clicks for day, clicks in again.items() if first <= day <= last}
        for day in sorted(served[kind].keys() | recounted.keys()):
            now, then = served[kind].get(day, 0), recounted.get(day, 0)
            click.echo(f"{day}: {now} clicks on {kind}, {then} in the log")
            if now < then or (complete and now > then):
                problems.append(f"{day}: {now} clicks on {kind} are served, the log has {then}")
    if not complete:
        click.echo("The log no longer holds everything that was counted: it may have fewer, never more.")
    return problems
