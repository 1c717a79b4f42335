"""A ClickHouse server for tests, built on chDB: `python -m tests.support.chdb_server --path DIR`.

Only one process can open a directory with chDB. This server is that process; others share the engine through the
real HTTP driver. `start_chdb_server` runs it as a child process that can be stopped, killed and restarted.
"""

from __future__ import annotations

import argparse
import atexit
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from tests.support import free_port
from tests.support.chdb_engine import Engine
from tests.support.chdb_http import Server

START_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[2]


class ChdbServer:
    """The server as a child process over one directory; the port survives restarts."""

    def __init__(self, path: Path, user: str = "default", password: str = "chdb") -> None:
        self.path, self.user, self.password = path, user, password
        self.port = free_port()
        self.log = path.parent / f"{path.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._port_file = path.parent / f"{path.name}.port"
        atexit.register(self.kill)

    @property
    def url(self) -> str:
        """For `clickhouse_connect.get_client(dsn=...)`."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"clickhouse://{user}:{password}@127.0.0.1:{self.port}/default"

    def start(self) -> None:
        """Starts the process and waits until it responds. Blocks."""
        self._port_file.unlink(missing_ok=True)
        self._port_file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.support.chdb_server", "--path", str(self.path.resolve())]
        command += ["--port", str(self.port), "--port-file", str(self._port_file.resolve())]
        command += ["--user", self.user, "--password", self.password]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The chDB server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM: requests in progress are finished first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, like a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts again on the same directory and port, after a stop if it still runs."""
        self.stop()
        self.start()

    def __enter__(self) -> ChdbServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process = None


def start_chdb_server(path: Path, user: str = "default", password: str = "chdb") -> ChdbServer:
    """A running server over the directory, which is created if it is missing."""
    server = ChdbServer(path, user, password)
    server.start()
    return server


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="The ClickHouse HTTP interface over chDB, for tests")
    parser.add_argument("--path", type=Path, required=True, help="data directory")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--user", default="default")
    parser.add_argument("--password", default="")
    parser.add_argument("--port-file", type=Path, help="where the port is written once the server answers")
    options = parser.parse_args()
    engine = Engine(options.path)
    server = Server(engine, options.port, options.user, options.password)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    port = server.server_address[1]
    if options.port_file:
        partial = options.port_file.with_suffix(".partial")
        partial.write_text(str(port))
        partial.replace(options.port_file)
    print(port, flush=True)
    server.serve_forever(poll_interval=0.05)
    server.drain()
    server.server_close()
    engine.close()


if __name__ == "__main__":
    main()
