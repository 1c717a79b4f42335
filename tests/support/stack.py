"""Whole pipelines for the integration suite: the embedded one, and separate processes over given servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from deploy.embedded.data_dir import DataDir
from tests.support import free_port

ADMIN_KEY = "admin-key-of-the-tests"
LIMITLESS = {"CLICKMILL_RATE_LIMITS": "off"}  # tests poll
CLICKMILL = Path(sys.executable).with_name("clickmill")
ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.2)


class Process:
    """A `clickmill` command as a child process, with its output in a file."""

    def __init__(self, log_file: Path, environment: dict[str, str], *arguments: str) -> None:
        self.log_file, self._environment, self._arguments = log_file, environment, arguments
        self.start()

    def start(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
        with self.log_file.open("ab") as output:
            self.child = subprocess.Popen(
                [CLICKMILL, *self._arguments], env=inherited | self._environment, stdout=output, stderr=output
            )

    def stop(self, seconds: float = 45) -> int:
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    @property
    def output(self) -> str:
        return self.log_file.read_text(errors="replace")


@dataclass
class Stack:
    """A running pipeline as its users see it: addresses, the admin key and the command line."""

    directory: Path
    environment: dict[str, str]
    api: str
    collector: str
    processes: dict[str, Process] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def kafka(self) -> str:
        url = self.environment.get("CLICKMILL_KAFKA_URL")
        return url or DataDir(self.directory).addresses().kafka

    def start(self, name: str, *arguments: str) -> None:
        log_file = self.directory / f"{name}.log"
        self.processes[name] = Process(log_file, self.environment, *arguments)

    def wait_ready(self, *urls: str, seconds: float = 120) -> None:
        """Stops what runs if an address does not become ready: the test that fails has no stack to stop."""
        try:
            for url in urls:
                self._wait_until_ready(url, seconds)
        except AssertionError:
            self.stop()
            raise

    def _wait_until_ready(self, url: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._ready(url):
            for name, process in self.processes.items():
                code = process.child.poll()
                assert code is None, f"{name} ended with {code}:\n{process.output[-3000:]}"
            assert time.monotonic() < deadline, f"{url} is not ready:\n{self.outputs()}"
            time.sleep(0.1)

    @staticmethod
    def _ready(url: str) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
        return False

    def outputs(self) -> str:
        return "\n".join(f"--- {name}\n{process.output[-2000:]}" for name, process in self.processes.items())

    def wait_for_output(self, name: str, text: str) -> None:
        wait_until(lambda: text in self.processes[name].output)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            if process.child.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.stop()

    # -- what users do -------------------------------------------------------------------------------------

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command line to its end."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
        environment = inherited | self.environment | {"CLICKMILL_API_URL": self.api, "CLICKMILL_KAFKA_URL": self.kafka}
        done = subprocess.run([CLICKMILL, *arguments], env=environment, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def admin(self, method: str, path: str, body: Any) -> Any:
        answer = self.http.request(method, f"{self.api}{path}", json=body, headers={"X-Api-Key": ADMIN_KEY})
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def key(self, role: str, **scope: int) -> str:
        return str(self.admin("POST", "/admin/keys", {"role": role, **scope})["key"])

    def send(self, events: Any, key: str = ADMIN_KEY) -> httpx.Response:
        return self.http.post(f"{self.collector}/ingest/events", json=events, headers={"X-Api-Key": key})

    def hours(self, key: str, ymd: str, **query: Any) -> list[tuple[int, int, int]]:
        """(hour, clicks, users) of a day, from the hourly statistics."""
        answer = self.http.get(
            f"{self.api}/api/statistics/v2/clicks-by-hour",
            params={"ymd": ymd, **query},
            headers={"Authorization": f"APIKey {key}"},
        ).json()
        assert answer["code"] == 0, answer
        return [(row["hour"], row["acesCnt"], row["pernCnt"]) for row in answer["result"]]

    def clicks(self, start: str, end: str, key: str = ADMIN_KEY, **query: Any) -> list[dict[str, Any]]:
        """Every row of a listing, read page by page from the Clicks API."""
        rows: list[dict[str, Any]] = []
        page: int | None = 1
        while page:
            answer = self.http.get(
                f"{self.api}/api/v1/clicks",
                params={"start_date": start, "end_date": end, "per_page": 1000, "page": page, **query},
                headers={"X-Api-Key": key},
            )
            assert answer.status_code == 200, answer.text
            rows += answer.json()["data"]
            page = answer.json()["meta"]["next_page"]
        return rows

    def as_of(self) -> datetime | None:
        answer = self.http.get(
            f"{self.api}/api/v1/clicks",
            params={"start_date": "2026-01-01", "end_date": "2026-01-01"},
            headers={"X-Api-Key": ADMIN_KEY},
        )
        header = answer.headers.get("x-data-as-of")
        return datetime.fromisoformat(header) if header else None

    def wait_counted(self, seconds: float = 60) -> None:
        """Returns once everything sent before this call is counted, by X-Data-As-Of."""
        sent = time.time()
        deadline = time.monotonic() + seconds
        while (as_of := self.as_of()) is None or as_of.timestamp() < sent:
            assert time.monotonic() < deadline, f"counted up to {as_of} only:\n{self.outputs()}"
            time.sleep(0.2)


def embedded_stack(directory: Path, *options: str) -> Stack:
    """`clickmill up` in one process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"CLICKMILL_ADMIN_KEY": ADMIN_KEY, "CLICKMILL_DATA_DIR": str(directory), **LIMITLESS}
    stack = Stack(directory, environment, url, url)
    stack.start("up", "up", "--port", str(port), *options)
    stack.wait_ready(url)
    return stack


def separate_stack(directory: Path, kafka: str, clickhouse: str, *, workers: int = 1, wait: bool = True) -> Stack:
    """Collector, workers and API as separate processes, over a running broker and a running database."""
    ports = [free_port() for _ in range(2 + workers)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    environment = {
        "CLICKMILL_ADMIN_KEY": ADMIN_KEY,
        "CLICKMILL_DATA_DIR": str(directory),
        "CLICKMILL_KAFKA_URL": kafka,
        "CLICKMILL_CLICKHOUSE_URL": clickhouse,
        "CLICKMILL_VISITOR_SECRET": "secret of the tests",
        "CLICKMILL_SESSION_TIMEOUT_SECONDS": "6",
        **LIMITLESS,
    }
    stack = Stack(directory, environment, urls[0], urls[1])
    if wait:
        stack.run("migrate")
    stack.start("api", "api", "--port", str(ports[0]))
    stack.start("collector", "collector", "--port", str(ports[1]))
    for number, port in enumerate(ports[2:]):
        stack.start(f"worker{number}", "worker", "--port", str(port))
    if wait:
        stack.wait_ready(*urls)
    return stack
