"""`clickmill dlq`: lists dead letters, and replays those that can be counted now."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from deploy.commands.options import client_settings, data_dir_option, producer_settings, run_command
from deploy.settings import Settings
from ingest.event import Click, Rejected, clicked_at_ms, decode_record
from ingest.kafka.admin import ensure_topics
from ingest.kafka.producer_connection import connect_producer
from ingest.producer import ClickProducer
from rollups.delivery.dead_letters import REPLAYED, PublishedDeadLetter, read_dead_letters

_REASON = click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(["invalid", "future"]), help="Only letters of this reason."
)


@click.group()
def dlq() -> None:
    """Dead letters: records that could not be counted."""


@dlq.command("list")
@data_dir_option
@_REASON
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the bytes as text.")
def dlq_list(reasons: tuple[str, ...], as_json: bool) -> None:
    """List the letters that were not replayed.

    Example: clickmill dlq list --reason invalid
    """
    letters = run_command(_letters(client_settings(), reasons))
    if as_json:
        for letter in letters:
            click.echo(json.dumps(_described(letter)))
        return
    table = Table("id", "origin", "reason", "error", "message", "bytes", box=None)
    for letter in letters:
        raw = (letter.raw or b"").decode(errors="backslashreplace")
        shown = raw if len(raw) <= 60 else f"{raw[:60]}… ({len(letter.raw or b'')} bytes)"
        table.add_row(letter.id, letter.origin, letter.reason, letter.error, letter.message, shown)
    Console(width=max(160, Console().width), markup=False, highlight=False).print(table)
    click.echo(f"{len(letters)} dead letters")


@dlq.command("replay")
@data_dir_option
@_REASON
@click.option(
    "--corrected",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Lines of {"id": …, "event": {…}}: events to publish in place of the letters with these ids.',
)
def dlq_replay(reasons: tuple[str, ...], corrected: Path | None) -> None:
    """Publish once more the letters that are valid now or corrected; exit 1 if there are letters but none of them is.

    Example: clickmill dlq replay --reason future
    """
    settings = producer_settings()
    events = _corrections(corrected) if corrected else {}
    replayed, left = run_command(_replay(settings, reasons, events))
    click.echo(f"{replayed} replayed, {sum(left.values())} left")
    for reason, count in left.most_common():
        click.echo(f"  {count} × {reason}")
    if left and not replayed:
        sys.exit(1)


async def _letters(settings: Settings, reasons: tuple[str, ...]) -> list[PublishedDeadLetter]:
    await ensure_topics(settings)
    return (await read_dead_letters(settings)).open(reasons)


def _described(letter: PublishedDeadLetter) -> dict[str, object]:
    raw = None if letter.raw is None else letter.raw.decode(errors="backslashreplace")
    facts = {"id": letter.id, "origin": letter.origin, "reason": letter.reason, "error": letter.error}
    return {**facts, "message": letter.message, "buried_at": letter.published_ms, "raw": raw}


def _corrections(file: Path) -> dict[str, bytes]:
    found = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            entry = json.loads(line)
            found[str(entry["id"])] = json.dumps(entry["event"]).encode()
        except (ValueError, KeyError, TypeError) as error:
            raise click.ClickException(f'{file}, line {number}: want {{"id": …, "event": {{…}}}}: {error}') from error
    return found


async def _replay(
    settings: Settings, reasons: tuple[str, ...], corrected: dict[str, bytes]
) -> tuple[int, Counter[str]]:
    """Publishes the events of a letter, then a note. If interrupted between, they are sent twice and count once."""
    letters = await _letters(settings, reasons)
    replayed, left = 0, Counter[str]()
    async with await connect_producer(settings, 30.0) as notes, ClickProducer(settings) as producer:
        for letter in letters:
            events = _countable(corrected.get(letter.id, letter.raw), settings)
            if isinstance(events, str):
                left[events] += 1
                continue
            for number, event in enumerate(events):
                if not event.event_id:  # it could come twice, as two letters
                    event.event_id, event.id_assigned = f"replay-{letter.id}-{number}", True
            await asyncio.gather(*await producer.send_many(events, key=letter.key))
            note = [(REPLAYED, letter.id.encode())]
            await notes.producer.send_and_wait(settings.dead_topic, key=letter.id.encode(), headers=note)
            replayed += 1
    return replayed, left


def _countable(raw: bytes | None, settings: Settings) -> list[Click] | str:
    """The events of a letter, or the reason why they still cannot be counted."""
    events = decode_record(raw)
    latest_ms = time.time_ns() // 1_000_000 + settings.future_tolerance_minutes * 60_000
    clicks: list[Click] = []
    for event in events:
        if isinstance(event, Rejected):
            return f"{event.fault.value}: {event.message}"
        if clicked_at_ms(event) > latest_ms:
            return "still from the future"
        clicks.append(event)
    return clicks
