"""A recount of the log, compared with the served days and with the ledger."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from deploy.commands.audit_log import LogView, Marks, another_log, marks_of
from deploy.settings import Settings
from ingest.event.validation import Fault
from ingest.kafka.reader import read_topic
from rollups.delivery.dead_letters import read_dead_letters
from rollups.kafka_log.marks import fingerprint_of
from rollups.recount import Ledger, Recount, Zones


async def compare_with_recount(
    settings: Settings, report: Mapping[str, Any], view: LogView, first: date, last: date
) -> list[str]:
    """The differences. Reads the whole topic, up to the watermarks of the served days and the ledger."""
    watermarks = {
        partition: watermark for source, partition, watermark in report["days"]["watermarks"] if source == view.source
    }
    undecodable = await _undecodable(settings)
    zones = {table: {int(owner): zone for owner, zone in found.items()} for table, found in report["zones"].items()}
    now_ms = time.time_ns() // 1_000_000
    recount = Recount(settings, Zones(zones["accounts"], zones["publishers"]), now_ms, undecodable)
    marks = marks_of(report, view.source)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("reading the log again", total=sum(watermarks.values()))
        async for records in read_topic(settings, settings.topic):
            for record in records:
                if record.offset < watermarks.get(record.partition, 0):
                    recount.add(record)
                    _cross_off(marks, record)
            progress.advance(task, len(records))
    whole = {p for p, (low, _, _) in view.bounds.items() if low == 0}
    if any(account["source"] != view.source for account in report["partitions"]):
        whole = set()  # the days include clicks of earlier incarnations, whose ids are remembered
    ledger = [line for line in report["days"]["ledger"] if line["source"] == view.source]
    return [
        *_compare_days(report["days"], recount, first, last, whole == view.bounds.keys()),
        *_compare_ledger(ledger, recount, {p: watermarks.get(p, 0) for p in whole}),
        *_compare_marks(marks, view, watermarks),
    ]


async def _undecodable(settings: Settings) -> set[tuple[int, int]]:
    """(partition, offset) of records that made a worker fail, which their contents do not tell."""
    found = (await read_dead_letters(settings)).all(Fault.UNDECODABLE)
    return {(letter.partition, letter.offset) for letter in found if letter.topic == settings.topic}


def _cross_off(marks: Marks, record: Any) -> None:
    """Removes the mark of a record if it matches."""
    crcs = marks.get(record.partition)
    if crcs and record.offset in crcs and crcs[record.offset] == fingerprint_of(record):
        del crcs[record.offset]


def _compare_marks(marks: Marks, view: LogView, watermarks: Mapping[int, int]) -> Iterable[str]:
    """Marks that remain, where the log still has their offsets, belong to other records."""
    for partition, crcs in marks.items():
        first = view.bounds.get(partition, (0, 0, None))[0]
        left = [offset for offset in crcs if first <= offset < watermarks.get(partition, 0)]
        if left:
            yield another_log(partition, min(left))


def _compare_days(
    served: Mapping[str, Any], recount: Recount, first: date, last: date, complete: bool
) -> Iterable[str]:
    """Served numbers must equal the recount, or exceed it if the log is no longer complete."""
    for kind, again in (("links", recount.links), ("placements", recount.placements)):
        recounted = {day.isoformat(): clicks for day, clicks in again.items() if first <= day <= last}
        for day in sorted(served[kind].keys() | recounted.keys()):
            now, then = served[kind].get(day, 0), recounted.get(day, 0)
            click.echo(f"{day}: {now} clicks on {kind}, {then} in the log")
            if now < then or (complete and now > then):
                yield f"{day}: {now} clicks on {kind} are served, the log has {then}"
    if not complete:
        click.echo("The log no longer holds everything that was counted: it may have fewer, never more.")


def _compare_ledger(
    lines: Iterable[Mapping[str, Any]], recount: Recount, watermarks: Mapping[int, int]
) -> Iterable[str]:
    """Compares numbers of records and clicks of the partitions whose log is complete."""
    ledgers: defaultdict[int, Ledger] = defaultdict(Ledger)
    for line in lines:
        ours = ledgers[line["partition"]]
        ours.records[line["reason"]] += line["records"]
        ours.events[line["reason"]] += line["events"]
        ours.unverified += line["unverified"]
    for partition, watermark in sorted(watermarks.items()):
        ours, there = ledgers[partition], recount.ledgers[partition]
        gap = Counter(gap=watermark - there.records.total())
        yield from _differences(partition, "records", ours.records, there.records + gap)
        yield from _differences(partition, "clicks", ours.events, there.events)
        if ours.unverified < there.unverified:
            yield (
                f"partition {partition}: {there.unverified} clicks may repeat earlier ones (no id, one that the "
                f"collector gave, too late, or counted in another partition too), {ours.unverified} are unverified"
            )


def _differences(partition: int, kind: str, ours: Counter[str], there: Counter[str]) -> Iterable[str]:
    for reason in sorted(ours.keys() | there.keys()):
        if ours[reason] != there[reason]:
            yield (
                f"partition {partition}: {ours[reason]} {kind} are in the ledger as {reason}, the log has "
                f"{there[reason]}"
            )
