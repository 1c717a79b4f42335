"""`clickmill import`: sends the clicks of a log file, with a progress bar and a summary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ingest.event import Click, Fault, Rejected, decode_one
from ingest.importers import bitly, combined
from ingest.importers.lines import Line, Parse, Skipped, read_lines
from ingest.in_flight import DeliveryTracker, Send

FORMATS = ("events", "bitly", "combined")
_EXAMPLES = 5
_EXAMPLE_BYTES = 120


@dataclass(slots=True)
class Summary:
    """Counts of the lines of a file: each is accepted, skipped or rejected."""

    accepted: int = 0
    skipped: Counter[Skipped] = field(default_factory=Counter)
    rejected: Counter[Fault] = field(default_factory=Counter)
    examples: dict[Fault, list[str]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        match line.outcome:
            case Click():
                self.accepted += 1
            case Rejected() as rejected:
                self.rejected[rejected.fault] += 1
                examples = self.examples.setdefault(rejected.fault, [])
                if len(examples) < _EXAMPLES:
                    examples.append(_example(line.number, rejected))
            case skipped:
                self.skipped[skipped] += 1

    def __str__(self) -> str:
        text = [f"{self.accepted:,} clicks accepted"]
        text += [f"{count:,} lines skipped: {kind}" for kind, count in self.skipped.items()]
        for fault, count in self.rejected.most_common():
            text.append(f"{count:,} lines rejected: {fault}")
            text += self.examples[fault]
        return "\n".join(text)


def _example(number: int, rejected: Rejected) -> str:
    start = (rejected.raw or b"")[:_EXAMPLE_BYTES].decode(errors="replace")
    return f"  line {number}: {rejected.message}: {start!r}"


async def run_import(send: Send, path: Path, kind: str, *, account_id: int = 1, domain: str = "localhost") -> Summary:
    """Sends the clicks of a file of format `kind` and waits for their acknowledgements.

    Valid lines are sent even if others are not valid. Raises DamagedFile if the file ends early, and DeliveryFailed.
    Repeating the import completes it, since ids depend on file name and line only.
    """
    summary, tracker = Summary(), DeliveryTracker(send)
    parse = _parser(kind, account_id, domain)
    with _bar(path) as bar:
        for line in read_lines(path, parse):
            summary.add(line)
            if isinstance(line.outcome, Click):
                await tracker.send(line.outcome)
            bar.update(bar.task_ids[0], completed=line.position)
        await tracker.wait_settled()
    return summary


def _parser(kind: str, account_id: int, domain: str) -> Parse:
    match kind:
        case "events":
            return decode_one
        case "bitly":
            return bitly.parse
        case "combined":
            return combined.parser(account_id, domain)
    raise ValueError(f"{kind!r} is not a format: choose {', '.join(FORMATS)}")


def _bar(path: Path) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    bar.add_task(path.name, total=path.stat().st_size)
    return bar
