"""Results: one JSON object a part, with the machine and the number of runs; and their tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.report.machine import describe, one_line

_DIRECTORY = Path(__file__).resolve().parents[1] / "results"
_WIDTH = 120
_markdown: ContextVar[list[str] | None] = ContextVar("markdown", default=None)


def directory(quick: bool) -> Path:
    """The directory of results; quick runs have their own."""
    return _DIRECTORY / "quick" if quick else _DIRECTORY


def runs_of(quick: bool) -> int:
    """The number of runs; the figures are medians."""
    return 1 if quick else 3


def shaped(part: str, figures: dict[str, Any], *, quick: bool, runs: int) -> dict[str, Any]:
    """The JSON of a part: its figures and their conditions, at the top level."""
    head: dict[str, Any] = {
        "part": part,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "runs": runs,
        "statistic": "median" if runs > 1 else "single run",
    }
    figures = rounded(figures)
    return {**head, **figures, "machine": describe()}


def rounded(value: Any) -> Any:
    """Floats with four significant digits; integers unchanged."""
    if isinstance(value, float):
        return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


def medians(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the numbers; of other values the first."""
    first = rows[0]
    numbers = (int, float)
    return {
        name: median([row[name] for row in rows])
        if isinstance(value, numbers) and not isinstance(value, bool)
        else value
        for name, value in first.items()
    }


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def read_all(place: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(place.glob("*.json"))}


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str] = ()) -> None:
    """Prints a table, or adds it to the text of `as_markdown`. The first column is words, the others figures."""
    texts = [[_text(value) for value in row] for row in rows]
    lines = _markdown.get()
    if lines is None:
        _show_on_terminal(title, columns, texts, notes)
        return
    rule = ["---", *["---:"] * (len(columns) - 1)]
    lines += [f"**{title}**", "", *(f"| {' | '.join(row)} |" for row in (columns, rule, *texts)), ""]
    lines += [text for note in notes for text in (note, "")]


def _show_on_terminal(title: str, columns: Sequence[str], texts: list[list[str]], notes: Iterable[str]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in texts:
        table.add_row(*row)
    console = Console(width=_WIDTH)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


@contextmanager
def as_markdown() -> Iterator[list[str]]:
    """Inside the block `show` writes lines of Markdown."""
    lines: list[str] = []
    token = _markdown.set(lines)
    try:
        yield lines
    finally:
        _markdown.reset(token)


def show_machine() -> None:
    Console(width=_WIDTH).print(one_line(describe()), highlight=False)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
