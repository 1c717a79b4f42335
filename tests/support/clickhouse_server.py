"""The real ClickHouse server for tests, as a child process that can be stopped, killed and restarted.

It comes out of a release of chDB whose library holds the server too (`tests/support/clickhouse`). Two things are
missing: Keeper, and the errors of writes that the disk refuses, which are put back. A start takes half a second.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from tests.support import free_port
from tests.support.downloads import downloaded
from tests.support.kafka_broker import require

START_SECONDS = 60.0
START_ATTEMPTS = 3  # one start in some hundreds ends with "recursive_mutex lock failed"
STOP_SECONDS = 30.0
BOTH_ENGINES = pytest.mark.parametrize("db", ["chDB", "server"], indirect=True)
SERVER = pytest.mark.parametrize("db", ["server"], indirect=True)
_HERE = Path(__file__).resolve().parent / "clickhouse"
PROGRAM = _HERE / "program.py"


@functools.cache
def library() -> Path:
    """The shared library that holds the server; the first call on a machine downloads it. Raises RuntimeError."""
    pins = _HERE / "requirements.txt"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(pins)]
    return downloaded("clickhouse", pins, lambda target: [*install, "--target", str(target)]) / "chdb" / "_chdb.abi3.so"


@functools.cache
def refused_writes() -> Path:
    """A library to preload: without it, the server hides that the disk refused a write. Raises RuntimeError."""
    if not shutil.which("gcc"):
        raise RuntimeError("A library for the ClickHouse server is compiled with gcc, which is not installed")
    source = _HERE / "refused_writes.c"
    compile_it = ["gcc", "-shared", "-fPIC", "-fexceptions", "-O2", str(source), "-o"]
    name = "refused_writes.so"
    return downloaded("refused-writes", source, lambda target: [*compile_it, str(target / name)]) / name


@functools.cache
def missing_reason() -> str | None:
    """Why the server cannot run here, or None."""
    try:
        library()
        refused_writes()
    except RuntimeError as error:
        return str(error)
    return None


class ClickHouseServer:
    """One server over one directory; its ports survive restarts.

    `config` is merged into the server's configuration: mappings become elements, lists repeated elements.
    """

    def __init__(
        self, path: Path, user: str = "default", password: str = "secret", config: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.user, self.password = path.resolve(), user, password
        self.port = free_port()
        self.log = self.path.parent / f"{path.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {"LD_PRELOAD": str(refused_writes())}
        self._config = config or {}
        atexit.register(self.kill)

    @property
    def url(self) -> str:
        """For `clickhouse_connect.get_client(dsn=...)`."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"clickhouse://{user}:{password}@127.0.0.1:{self.port}/default"

    def start(self) -> None:
        """Starts the process and waits until it responds; again if it crashes, as what runs a server does. Blocks."""
        for _ in range(START_ATTEMPTS):
            self._launch()
            if self._responds_in_time():
                return
        raise RuntimeError(f"ClickHouse did not start:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """SIGTERM: statements in progress are finished first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, like a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts again on the same directory and port, after a stop if it still runs."""
        self.stop()
        self.start()

    def __enter__(self) -> ClickHouseServer:
        if self.process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self) -> Path:
        """Writes the configuration into the data directory."""
        self.path.mkdir(parents=True, exist_ok=True)
        directories = {"path": "", "tmp_path": "tmp", "user_files_path": "user_files", "format_schema_path": "schemas"}
        server: dict[str, Any] = {
            "logger": {"level": "warning", "console": 1},
            "listen_host": "127.0.0.1",
            "http_port": self.port,
            **{name: f"{self.path / folder}/" for name, folder in directories.items()},
            "default_profile": "default",
            "default_database": "default",
            "mark_cache_size": 100_000_000,
            "shutdown_wait_unfinished": 1,  # seconds; for idle connections too
            "shutdown_wait_unfinished_queries": 1,
            "user_directories": {
                "users_xml": {"path": self.path / "users.xml"},
                "local_directory": {"path": f"{self.path / 'access'}/"},
            },
        }
        user = {
            "password": self.password,
            "profile": "default",
            "quota": "default",
            "networks": {"ip": "::/0"},
            "access_management": 1,
        }
        users = {"profiles": {"default": ""}, "quotas": {"default": ""}, "users": {self.user: user}}
        _write(self.path / "users.xml", users)
        return _write(self.path / "config.xml", {**server, **self._config})

    def _launch(self) -> None:
        program = [sys.executable, str(PROGRAM), str(library()), "Server", "--config-file", str(self._configure())]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(program, stdout=log, stderr=log, env=os.environ | self.environment)

    def _responds_in_time(self) -> bool:
        """False, and no process is left, if it ends or says nothing in time."""
        deadline = time.monotonic() + START_SECONDS
        while not self._responds():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                return False
            time.sleep(0.01)
        return True

    def _responds(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def start_clickhouse_server(path: Path, user: str = "default", password: str = "secret") -> ClickHouseServer:
    """A running server over the directory, which is created if it is missing. Skips the test if none can run."""
    require(missing_reason())
    server = ClickHouseServer(path, user, password)
    server.start()
    return server


def _write(file: Path, content: Mapping[str, Any]) -> Path:
    ElementTree.ElementTree(_element("clickhouse", content)).write(file)
    return file


def _element(name: str, content: Any) -> ElementTree.Element:
    element = ElementTree.Element(name)
    if not isinstance(content, Mapping):
        element.text = str(content)
        return element
    for child, value in content.items():
        element.extend(_element(child, item) for item in (value if isinstance(value, list) else [value]))
    return element
