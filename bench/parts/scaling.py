"""The worker under other conditions: several workers, other batches, other records, the other broker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.brokers import Broker, default_kind, running_broker
from bench.data.expected import Counts
from bench.data.topic import fill
from bench.parts.pipeline import figures_of
from bench.report.results import medians, runs_of, show
from bench.workers import timed_run
from tests.support.clickhouse_server import ClickHouseServer

_EVENTS, _QUICK_EVENTS = 250_000, 100_000
_ARRAY = 100
_ARRAYS_TIMES = 3  # times as many events in arrays; fewer end too soon for a measurement


@dataclass(frozen=True, slots=True)
class Case:
    """One condition. `shared`: the engine is behind HTTP, which several workers need."""

    broker: str
    per_record: int = 1
    workers: int = 1
    shared: bool = False
    most_events: int = 200_000  # in one insert: CLICKMILL_BATCH_MAX_EVENTS


def cases(broker: str, quick: bool) -> list[Case]:
    if quick:
        return [Case(broker), Case(broker, per_record=_ARRAY), Case(broker, workers=2, shared=True)]
    found = [
        Case(broker),
        Case(broker, most_events=20_000),
        Case(broker, per_record=_ARRAY),
        Case(broker, workers=2, shared=True),  # a single worker is as fast over HTTP as in process
    ]
    return found + ([Case("tansu", per_record=_ARRAY)] if broker != "tansu" else [])


def run(*, quick: bool = False, events: int | None = None, broker: str | None = None) -> dict[str, Any]:
    count = events or (_QUICK_EVENTS if quick else _EVENTS)
    chosen = cases(broker or default_kind(), quick)
    rows: list[dict[str, Any]] = []
    for kind in dict.fromkeys(case.broker for case in chosen):
        rows += _measured([case for case in chosen if case.broker == kind], kind, count, runs_of(quick))
    return {"events": count, "cases": rows}


def _measured(alike: list[Case], kind: str, count: int, runs: int) -> Iterator[dict[str, Any]]:
    """Measures the cases over one broker, in turn."""
    with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as broker:
        shapes = dict.fromkeys(case.per_record for case in alike)
        expected = {size: fill(broker, _events(count, size), per_record=size, topic=_topic(size)) for size in shapes}
        found: dict[Case, list[dict[str, Any]]] = {case: [] for case in alike}
        for number in range(runs):
            for index, case in enumerate(alike):
                directory = Path(name) / f"run{number}-{index}"
                found[case].append(_one(case, broker, expected[case.per_record], directory))
    for case, rows in found.items():
        yield {**asdict(case), **medians(rows), "counts_right": all(row["counts_right"] for row in rows)}


def _events(count: int, per_record: int) -> int:
    return count if per_record == 1 else _ARRAYS_TIMES * count


def _topic(per_record: int) -> str:
    return f"clicks.by.{per_record}"


def _one(case: Case, broker: Broker, expected: Counts, directory: Path) -> dict[str, Any]:
    settings = {
        "CLICKMILL_BATCH_MAX_EVENTS": str(case.most_events),
        "CLICKMILL_TOPIC": _topic(case.per_record),
    }
    if not case.shared:
        timed = timed_run(broker, expected, directory, settings=settings)
    else:
        with ClickHouseServer(directory / "shared") as server:
            process = server.process
            timed = timed_run(
                broker,
                expected,
                directory,
                workers=case.workers,
                clickhouse=server.url,
                engine_pid=process.pid if process else None,
                settings=settings,
            )
    return {**figures_of(timed), "counts_right": not timed.problems}


def table(result: dict[str, Any]) -> None:
    show(
        f"scaling, {result['statistic']} of {result['runs']}",
        [
            "broker",
            "events",
            "of them in a record",
            "workers",
            "engine",
            "most of an insert",
            "events/s",
            "CPU-µs/event",
            "peak MB",
        ],
        [
            (
                row["broker"],
                _events(result["events"], row["per_record"]),
                row["per_record"],
                row["workers"],
                "over HTTP" if row["shared"] else "in process",
                row["most_events"],
                row["events_per_second"],
                row["cpu_us_per_event"],
                row["peak_rss_mb"],
            )
            for row in result["cases"]
        ],
        [] if all(row["counts_right"] for row in result["cases"]) else ["NOT every count is as the model has it"],
    )
