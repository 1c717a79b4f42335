"""The cost of the API over plain SQL, and its throughput, with rollups of 10 million to a billion clicks.

For each size the rollups are built (`bench.data.api_data`), and the API starts over them as a process with its embedded
engine. Then, for both endpoints:

- cold: new queries one after the other, each also as the same SQL straight through clickhouse-connect in the same
  process; the order of the two alternates;
- open, over the largest size: ranges up to today, each query once, during ten inserts of today's clicks a second;
- warm, over the largest size, as cached responses cost the same for all sizes: one closed query repeated over 1, 16 and
  64 connections.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Literal

from bench.load.api_load import Request, each_once, hammer, load_of, tool
from bench.load.api_questions import Question, first_questions, numbers, questions
from bench.report.results import show

SIZES = (10_000_000, 100_000_000, 1_000_000_000)
CONNECTIONS = (1, 16, 64)
_WARM_SECONDS = 1.0
Endpoint = Literal["daily", "hourly"]
ENDPOINTS: tuple[Endpoint, ...] = ("daily", "hourly")


class Served:
    """The process under test; `bench.api_server` documents its commands."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.hello = self._answer()

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def request(self, question: Question) -> Request:
        return question.request(self.hello["port"], self.hello["keys"])

    def requests(self, which: Sequence[int]) -> list[Request]:
        asked = questions()
        return [self.request(asked[number]) for number in which]


@contextmanager
def served(clicks: int) -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="clickmill-bench-"))
    command = [sys.executable, "-m", "bench.api_server", str(directory / "engine"), str(clicks)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Served(process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def run(*, quick: bool = False) -> dict[str, Any]:
    sizes = SIZES[:2] if quick else SIZES
    results = []
    for clicks in sizes:
        with served(clicks) as server:
            results.append(measured(server, clicks, quick, loads=clicks == sizes[-1]))
    for endpoint in ENDPOINTS:
        first, last = (result["cold"][endpoint]["api"]["p50"] for result in (results[0], results[-1]))
        results[-1]["cold"][endpoint]["times_slower_than_smallest"] = round(last / first, 2)
    return {"tool": tool(), "quick": quick, "sizes": results}


def measured(server: Served, clicks: int, quick: bool, *, loads: bool) -> dict[str, Any]:
    count = 40 if quick else 80
    known = {"clicks": clicks, **{name: server.hello[name] for name in ("rows", "bytes", "build_seconds")}}
    each_once([server.request(question) for question in first_questions()])
    cold = {endpoint: beside_sql(server, numbers(endpoint)[:count]) for endpoint in ENDPOINTS}
    largest = beside_sql(server, numbers("largest"))
    found = {**known, "cold": cold, "largest_account": largest}
    return {**found, **under_load(server, count)} if loads else found


def under_load(server: Served, count: int) -> dict[str, Any]:
    still = {endpoint: warm(server, endpoint) for endpoint in ENDPOINTS}
    server.ask(ingest=True)
    time.sleep(0.5)
    opened = {endpoint: opened_days(server, endpoint, count) for endpoint in ENDPOINTS}
    batches = server.ask(ingest=False)["batches"]
    return {"warm": still, "open_while_inserting": opened, "batches_inserted": batches}


def beside_sql(server: Served, which: Sequence[int]) -> dict[str, Any]:
    """Each query once over HTTP and once as plain SQL."""
    api: list[float] = []
    bare: list[float] = []
    for turn, (number, request) in enumerate(zip(which, server.requests(which), strict=True)):
        if turn % 2:
            bare.append(server.ask(bare=number)["milliseconds"])
        api.append(each_once([request]).p50)
        if not turn % 2:
            bare.append(server.ask(bare=number)["milliseconds"])
    return {
        "api": load_of(api, sum(api) / 1000).rounded(),
        "sql": load_of(bare, sum(bare) / 1000).rounded(),
        "over_sql_p50": round(median(api) - median(bare), 2),
    }


def opened_days(server: Served, endpoint: Endpoint, count: int) -> dict[str, Any]:
    requests = server.requests(numbers(endpoint, is_open=True)[: count + count // 5])
    single, several = requests[: count // 2], requests[count // 2 :]
    return {"1": each_once(single).rounded(), "4": each_once(several, connections=4).rounded()}


def warm(server: Served, endpoint: Endpoint) -> dict[str, Any]:
    [request] = server.requests(numbers(endpoint)[:1])
    each_once([request])
    return {str(connections): hammer(request, connections, _WARM_SECONDS).rounded() for connections in CONNECTIONS}


def table(result: dict[str, Any]) -> None:
    """A line for each query: p50 / p99 / max in milliseconds, and requests a second under load."""
    sizes = result["sizes"]
    rows: dict[str, list[str]] = {}
    for number, size in enumerate(sizes):
        for name, pair in [*size["cold"].items(), ("hourly, the largest account", size["largest_account"])]:
            rows.setdefault(f"{name}, cold", []).append(_load(pair["api"]))
            rows.setdefault(f"{name}, bare SQL", []).append(_load(pair["sql"]))
        for part in ("open_while_inserting", "warm"):
            for endpoint, loads in size.get(part, {}).items():
                for connections, load in loads.items():
                    named = f"{endpoint}, {part.replace('_', ' ')}, {connections} conn."
                    rows.setdefault(named, [""] * number).append(f"{_load(load)}, {load['per_second']:,.0f}/s")
        built = f"{size['build_seconds']:.0f} s, {size['bytes'] / 1e9:.2f} GB"
        rows.setdefault("rollups built in, on disk", []).append(built)
    show(
        "api: p50 / p99 / max ms",
        ["", *(f"{size['clicks']:,} clicks" for size in sizes)],
        [(name, *cells) for name, cells in rows.items()],
        [f"warm: {result['tool']}"],
    )


def _load(load: dict[str, float]) -> str:
    return " / ".join(f"{load[name]:.1f}" for name in ("p50", "p99", "max"))
