"""From the broker's log to the rollups: Clickmill's worker, the engine's limit, and alternatives."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.brokers import Broker, default_kind, running_broker
from bench.data.expected import Counts
from bench.data.topic import fill
from bench.processes import ROOT, ask
from bench.report.results import medians, runs_of, show
from bench.workers import Timed, timed_run

EVENTS, QUICK_EVENTS = 2_000_000, 250_000
# Events for a peer, so that a slow one does not take minutes.
PEERS = {
    "faust_stock": 30_000,
    "aiokafka_loop": 100_000,
    "aiokafka_narrow": 200_000,
    "quix": 100_000,
    "bytewax_flow": 100_000,
    "pathway_table": 100_000,
}
_QUICK_SHARE = 5
# They need older libraries, in their own environment, and were tried over Apache Kafka only.
_APART = ("quix", "bytewax_flow", "pathway_table")
_PYTHON_APART = Path(os.environ.get("BENCH_PEERS", ROOT / ".venv-peers")) / "bin" / "python"
_DRIFT = 0.002  # a peer's count may be off by this share


def run(*, quick: bool = False, events: int | None = None, broker: str | None = None) -> dict[str, Any]:
    kind, count = broker or default_kind(), events or (QUICK_EVENTS if quick else EVENTS)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with running_broker(kind, directory) as running:
            expected = fill(running, count, copy=directory / "events.jsonl")
            measured = _measure(running, expected, directory, quick)
    return {"broker": kind, "events": count, "expected": asdict(expected), **measured}


def _measure(broker: Broker, expected: Counts, directory: Path, quick: bool) -> dict[str, Any]:
    """Runs everything in turn, several times, so that other load on the machine affects all alike."""
    peers = {name: min(count // (_QUICK_SHARE if quick else 1), expected.events) for name, count in PEERS.items()}
    left_out = _left_out(broker)
    for name in left_out:
        del peers[name]
    ours: list[Timed] = []
    limits: list[dict[str, Any]] = []
    others: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    for number in range(runs_of(quick)):
        place = directory / f"run{number}"
        ours.append(timed_run(broker, expected, place / "worker"))
        limits.append(_rates(ask("bench.limit", place / "limit", directory / "events.jsonl")))
        for name, count in peers.items():
            arguments = broker.address, count, place / name, f"{name}-{number}"
            python = str(_PYTHON_APART) if name in _APART else sys.executable
            others[name].append(_rates(ask(f"bench.peers.{name}", *arguments, python=python)))
        shutil.rmtree(place)
    return {**_figures(ours, limits, others), "left_out": left_out}


def _left_out(broker: Broker) -> dict[str, str]:
    """Peers that cannot run here, with the reason."""
    if broker.kind == "tansu":
        return dict.fromkeys(_APART, "compared over Apache Kafka only")
    if not _PYTHON_APART.exists():
        return dict.fromkeys(_APART, "no environment for it: `make bench` makes one, or set BENCH_PEERS")
    if not any(_PYTHON_APART.parents[1].glob("lib/python*/site-packages/pathway")):
        return {
            "pathway_table": "300 MB and 100 packages that are not installed: `pip install pathway` beside the peers"
        }
    return {}


def _rates(answer: dict[str, Any]) -> dict[str, Any]:
    answer["events_per_second"] = answer["events"] / answer["seconds"]
    answer["cpu_us_per_event"] = answer["cpu_seconds"] / answer["events"] * 1e6
    counted = answer.get("counted", answer["events"])
    if abs(counted - answer["events"]) > answer["events"] * _DRIFT:
        raise RuntimeError(f"a peer's counts differ from what it took: {answer}")
    return answer


def figures_of(timed: Timed) -> dict[str, Any]:
    per_event = 1e6 / timed.events
    return {
        "events_per_second": timed.rate,
        "events_per_second_with_start": timed.events / timed.seconds_with_start,
        "seconds": timed.seconds,
        "seconds_with_start": timed.seconds_with_start,
        "cpu_us_per_event": (timed.user + timed.system) * per_event,
        "cpu_user_us_per_event": timed.user * per_event,
        "cpu_system_us_per_event": timed.system * per_event,
        "broker_cpu_us_per_event": timed.broker_cpu * per_event,
        "peak_rss_mb": timed.peak_rss_mb,
    }


def _figures(
    ours: Sequence[Timed], limits: Sequence[dict[str, Any]], others: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    worker, limit = medians([figures_of(timed) for timed in ours]), medians(limits)
    peers = {name: medians(rows) for name, rows in others.items()}
    rate = worker["events_per_second"]
    problems = [problem for timed in ours for problem in timed.problems]
    return {
        **worker,
        "ratio_to_limit": rate / limit["events_per_second"],
        "ratio_to_stock_faust": rate / peers["faust_stock"]["events_per_second"],
        "ratio_to_peers": {name: rate / peer["events_per_second"] for name, peer in peers.items()},
        "counts_right": not problems,
        "problems": problems,
        "limit": limit,
        "peers": peers,
        "each_run": [timed.rate for timed in ours],
    }


def table(result: dict[str, Any]) -> None:
    rows = [("Clickmill worker, everything on", result), ("limit: the engine alone, from a file", result["limit"])]
    rows += [(f"peer: {name}", peer) for name, peer in result["peers"].items()]
    rate = result["events_per_second"]
    show(
        f"pipeline: {result['events']:,} events from {result['broker']}, {result['statistic']} of {result['runs']}",
        ["", "events/s", "Clickmill is ×", "CPU-µs/event", "peak MB"],
        [
            (
                name,
                row["events_per_second"],
                rate / row["events_per_second"],
                row["cpu_us_per_event"],
                row["peak_rss_mb"],
            )
            for name, row in rows
        ],
        [
            f"broker: {result['broker_cpu_us_per_event']} CPU-µs an event; with start-up "
            f"{result['events_per_second_with_start']:,} events/s; every count is "
            + ("as the model has it" if result["counts_right"] else f"NOT as the model has it: {result['problems']}"),
            *(f"left out: {name}: {reason}" for name, reason in result["left_out"].items()),
        ],
    )
