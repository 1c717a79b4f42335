"""The engines under faults with one interface: chDB in the worker's process, and a ClickHouse server."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.support.clickhouse_server import ClickHouseServer, missing_reason
from tests.support.kafka_broker import require

SECONDS = 300.0


class Embedded:
    """chDB: it starts and dies with the process that uses it."""

    def __init__(self, path: Path) -> None:
        self.path, self.url = path, f"chdb://{path}"

    def start(self) -> None:
        """Does nothing."""

    stop = kill = start

    def pid(self, user: subprocess.Popen[str]) -> int:
        """The process to trace."""
        return user.pid

    def wait(self, user: subprocess.Popen[str]) -> int:
        """Waits for the end of a process that uses the engine. Returns its exit status."""
        user.communicate(timeout=SECONDS)
        return user.returncode


class Server(ClickHouseServer):
    """A ClickHouse server."""

    def __init__(self, path: Path) -> None:
        require(missing_reason())
        super().__init__(path)

    def pid(self, _user: subprocess.Popen[str]) -> int:
        assert self.process is not None
        return self.process.pid

    def wait(self, user: subprocess.Popen[str]) -> int:
        """As above; a server that dies meanwhile is started again."""
        deadline = time.monotonic() + SECONDS
        while user.poll() is None and time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                self.restart()
            time.sleep(0.01)
        user.communicate(timeout=1)
        return user.returncode


ENGINES: dict[str, type[Embedded] | type[Server]] = {"chDB": Embedded, "server": Server}
