"""Prints the source files that one event and one request enter: `python -m tests.support.trace_files`.

It runs `clickmill up` in this process (broker: a child process; engine: chDB) and traces four paths over real sockets:

    event        POST /ingest/events, Kafka, the worker, the insert into ClickHouse
    hours        GET /api/statistics/v2/clicks-by-hour, a day not requested before
    remembered   the same request again, from the response cache
    listing      GET /api/v1/clicks, a day not requested before

A file of the four layers is entered when one of its functions runs; an import is not enough. Each path is traced
several times, warm. A file counts if every run enters it, by functions that do not run without requests as well
(heartbeats, watchers). To compare with another checkout: `PYTHONPATH=CHECKOUT python -P tests/support/trace_files.py`.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import chdb
import httpx
from click.testing import CliRunner

LAYERS = ("ingest", "rollups", "api", "deploy")
ROUNDS = 4  # the first, which loads lazy imports, is left out
ADMIN_KEY = "admin-key-of-the-trace"
TIMEOUT_SECONDS = 60.0
IDLE_SECONDS = 1.0
UNWATCHED_SECONDS = 1.2  # after which a request polls for changed data again
TODAY = datetime.now(UTC).date()

Functions = set[CodeType]


class Tracer:
    """Notes the functions that run in any thread while it records."""

    def __init__(self) -> None:
        self._entered: Functions | None = None

    def install(self) -> None:
        """For this thread and for threads started later."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)

    @contextmanager
    def recording(self) -> Iterator[Functions]:
        """Yields a set; functions of any package are added to it as they run."""
        entered: Functions = set()
        self._entered = entered
        try:
            yield entered
        finally:
            self._entered = None

    def _on_event(self, frame: FrameType, event: str, _argument: object) -> None:
        entered = self._entered
        if entered is not None and event == "call":
            entered.add(frame.f_code)


class Tree:
    """The layers as they are imported here."""

    def __init__(self) -> None:
        spec = find_spec(LAYERS[0])
        assert spec is not None
        assert spec.origin is not None
        self.root = Path(spec.origin).parents[1]

    def files(self, functions: Functions) -> list[str]:
        """Files of the layers with one of these functions. Modules and class bodies are no functions."""
        paths = {Path(code.co_filename) for code in functions if code.co_flags & inspect.CO_OPTIMIZED}
        ours = [path.relative_to(self.root) for path in paths if path.is_relative_to(self.root)]
        return sorted((path.as_posix() for path in ours if path.parts[0] in LAYERS), key=_in_order_of_the_flow)


def _in_order_of_the_flow(file: str) -> tuple[int, str]:
    return LAYERS.index(file.partition("/")[0]), file


class Client:
    """The calls that are traced."""

    def __init__(self, url: str, engine: Path) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        self._engine = engine
        self._days = (TODAY - timedelta(days=back) for back in range(1, 100))
        self._admin = {"X-Api-Key": ADMIN_KEY}

    def wait_ready(self) -> None:
        _wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def prepare(self) -> None:
        """Creates an account whose plan has the hourly statistics, and the keys."""
        accounts = [{"account_id": 7, "plan": "Business", "time_zone": "UTC"}]
        self._http.put("/admin/catalog", json={"accounts": accounts}, headers=self._admin).raise_for_status()
        self._account = {"Authorization": f"APIKey {self._key('account', account_id=7)}"}
        self._publisher = {"X-Api-Key": self._key("publisher", publisher_id=45)}
        self._collector = {"X-Api-Key": self._key("ingest")}

    def _key(self, role: str, **scope: int) -> str:
        answer = self._http.post("/admin/keys", json={"role": role, **scope}, headers=self._admin)
        return str(answer.raise_for_status().json()["key"])

    def event(self) -> None:
        """Sends an event; returns when it is applied."""
        ids = {"account_id": 7, "link_id": "abc", "publisher_id": 45, "advertiser_id": 1, "network_id": 1}
        before = self._records_applied()
        event = {**ids, "domain": "go.example", "clicked_at": int(time.time() * 1000), "visitor_id": "v"}
        answer = self._http.post("/ingest/events", json=event, headers=self._collector)
        assert answer.json() == {"accepted": 1, "rejected": []}, answer.text
        _wait_until(lambda: self._records_applied() > before)
        time.sleep(0.1)  # for the work after the insert

    def _records_applied(self) -> int:
        """Read from the engine directly: a request would be traced."""
        connection = chdb.connect(str(self._engine))
        try:
            return int(connection.query("SELECT toUInt64(sum(next)) FROM watermarks", "TSV").data())
        finally:
            connection.close()

    def hours(self, day: date) -> Any:
        answer = self._http.get(
            "/api/statistics/v2/clicks-by-hour", params={"ymd": day.isoformat()}, headers=self._account
        )
        assert answer.json()["code"] == 0, answer.text
        return answer.json()["result"]

    def listing(self, day: date) -> Any:
        days = {"start_date": day.isoformat(), "end_date": day.isoformat()}
        answer = self._http.get("/api/v1/clicks", params=days, headers=self._publisher)
        return answer.raise_for_status().json()["data"]

    def day(self) -> date:
        """A day not requested before."""
        return next(self._days)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"`clickmill up` timed out after {TIMEOUT_SECONDS:.0f} s")
        time.sleep(0.02)


def traced(tracer: Tracer, client: Client) -> dict[str, Functions]:
    """By path, the functions that run in every round."""
    rounds: dict[str, list[Functions]] = {}
    for _ in range(ROUNDS):
        day, other = client.day(), client.day()
        calls: dict[str, Callable[[], object]] = {
            "idle": partial(time.sleep, IDLE_SECONDS),
            "event": client.event,
            "hours": partial(client.hours, day),
            "remembered": partial(client.hours, day),
            "listing": partial(client.listing, other),
        }
        for path, call in calls.items():
            if path in ("hours", "listing"):
                time.sleep(UNWATCHED_SECONDS)
            with tracer.recording() as entered:
                call()
            rounds.setdefault(path, []).append(entered)
    return {path: set.intersection(*entered[1:]) for path, entered in rounds.items()}


def trace(directory: Path) -> dict[str, list[str]]:
    """Files by path. Runs `clickmill up` in this thread, which must be the main thread. Blocks."""
    from deploy.cli import main

    tree, tracer = Tree(), Tracer()
    found: dict[str, list[str]] = {}
    failure: list[BaseException] = []
    logging.disable()
    port = _free_port()

    def drive() -> None:
        sys.setprofile(None)  # the client is not traced
        try:
            client = Client(f"http://127.0.0.1:{port}", directory / "engine")
            client.wait_ready()
            client.prepare()
            functions = traced(tracer, client)
            idle = functions.pop("idle")
            found.update({path: tree.files(entered - idle) for path, entered in functions.items()})
        except BaseException as error:
            failure.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    tracer.install()
    threading.Thread(target=drive, daemon=True).start()
    arguments = ["up", "--port", str(port), "--data-dir", str(directory)]
    result = CliRunner().invoke(main, arguments, env={"CLICKMILL_ADMIN_KEY": ADMIN_KEY})
    sys.setprofile(None)
    if failure:
        raise failure[0]
    if result.exit_code:
        raise RuntimeError(f"`clickmill up` ended with {result.exit_code}: {result.output[-2000:]}")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def report(found: dict[str, list[str]]) -> str:
    return "\n".join(map(_paragraph, found, found.values()))


def _paragraph(path: str, files: list[str]) -> str:
    layers = Counter(file.partition("/")[0] for file in files)
    counts = ", ".join(f"{layer} {layers[layer]}" for layer in LAYERS if layers[layer])
    return f"{path}: {len(files)} files ({counts})\n" + "".join(f"    {file}\n" for file in files)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.stdout.write(report(trace(Path(scratch))))
