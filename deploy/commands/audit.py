"""`clickmill audit`: checks the rollups against themselves and against the log, on a live system."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from deploy.commands.admin import admin_call
from deploy.commands.audit_log import compare_with_log
from deploy.commands.audit_recount import compare_with_recount
from deploy.commands.options import client_settings, data_dir_option, run_command

_REASONS = ("counted", "bot", "prefetch", "duplicate", "repeat", "invalid", "future")
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@data_dir_option
@click.option("--from", "first", type=_DAY, help="Recount from this day on (with --to).")
@click.option("--to", "last", type=_DAY, help="Recount up to this day.")
def audit(first: datetime | None, last: datetime | None) -> None:
    """Account for every record of the topic; exit 1 if anything does not add up.

    Problems are records that are not counted within a minute, partitions that a worker reports as halted or failing,
    and a log that is not the one that was counted. With --from and --to the log is read again, and the clicks of these
    days (in the time zones of their owners) and the whole ledger are counted a second time.

    Example: clickmill audit --from 2026-03-01 --to 2026-03-31
    """
    if (first is None) != (last is None):
        raise click.UsageError("--from and --to go together")
    settings = client_settings()
    days = f"?from={first.date()}&to={last.date()}" if first and last else ""
    report = admin_call("GET", f"/admin/audit{days}")
    view = run_command(compare_with_log(settings, report))
    _show(report["partitions"], view.source, view.bounds)
    problems = report["problems"] + view.problems
    if first and last:
        problems += run_command(compare_with_recount(settings, report, view, first.date(), last.date()))
    for note in view.notes:
        click.echo(f"note: {note}")
    for problem in problems:
        click.echo(f"does not add up: {problem}")
    if problems:
        sys.exit(1)
    click.echo("Everything adds up.")


def _show(accounts: list[dict[str, Any]], source: int, bounds: dict[int, tuple[int, int, int | None]]) -> None:
    """Prints a line for each partition, one for all earlier incarnations of the topic, and the total."""
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
