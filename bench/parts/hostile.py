"""Hostile events against usual ones: the worker's rate, and the delay of other accounts beside them.

Every text of a hostile event is as long as it may be and like no other, and its account is its own. A bystander is an
account whose markers are served by `clickmill up` beside such events, at a rate that the worker can take.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.brokers import default_kind, running_broker
from bench.data.hostile_events import hostile_events
from bench.data.topic import fill
from bench.parts.freshness import running_up, served
from bench.parts.pipeline import figures_of
from bench.report.results import medians, runs_of, show
from bench.workers import timed_run

_EVENTS, _QUICK_EVENTS = 60_000, 20_000
_USUAL_TIMES = 4  # times as many usual events; fewer end too soon for a measurement
_RATE, _SECONDS, _QUICK_SECONDS = 1_500, 10.5, 4.0
_BYSTANDER = 999_101


def run(*, quick: bool = False, broker: str | None = None) -> dict[str, Any]:
    kind, count = broker or default_kind(), _QUICK_EVENTS if quick else _EVENTS
    with tempfile.TemporaryDirectory() as name, running_broker(kind, Path(name)) as running:
        expected = {
            "usual": fill(running, count * _USUAL_TIMES, topic="usual"),
            "hostile": fill(running, count, topic="hostile", source=hostile_events),
        }
        runs: dict[str, list[dict[str, Any]]] = {topic: [] for topic in expected}
        for number in range(runs_of(quick)):
            for topic, counts in expected.items():
                place = Path(name) / f"{topic}{number}"
                timed = timed_run(running, counts, place, settings={"CLICKMILL_TOPIC": topic})
                runs[topic].append({**figures_of(timed), "problems": timed.problems})
        with running_up(running, Path(name)) as (child, url):
            seconds = _QUICK_SECONDS if quick else _SECONDS
            bystander = served(running, child, url, _BYSTANDER, _RATE, seconds, hostile=True)
    rows = {
        topic: {"topic": topic, "events": expected[topic].events, **medians(found)} for topic, found in runs.items()
    }
    ratio = rows["usual"]["events_per_second"] / rows["hostile"]["events_per_second"]
    return {"broker": kind, "cases": list(rows.values()), "ratio_usual_to_hostile": ratio, "bystander": bystander}


def table(result: dict[str, Any]) -> None:
    beside = result["bystander"]
    show(
        f"hostile: events of 4.5 kB whose texts and accounts are all different, from {result['broker']}",
        ["events", "number", "events/s", "CPU-µs/event", "peak MB", "counts right"],
        [
            (
                row["topic"],
                row["events"],
                row["events_per_second"],
                row["cpu_us_per_event"],
                row["peak_rss_mb"],
                not row["problems"],
            )
            for row in result["cases"]
        ],
        [
            f"usual events are taken {result['ratio_usual_to_hostile']} × as fast; a bystander beside "
            f"{beside['events_per_second']:,} hostile events/s is served after {beside['p50_seconds']} s (p50), "
            f"{beside['p99_seconds']} s (p99)"
        ],
    )
