"""The data directory of `clickmill up`: its lock, its secrets, and the addresses for other commands."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.embedded.durable import write_durably
from deploy.settings import Settings
from ingest.errors import OperatorError
from ingest.settings import EMBEDDED

_LOOK_SECONDS = 0.1


class NotRunning(OperatorError):
    """Neither a running `clickmill up` nor addresses in the settings."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running `up` can be reached by commands on the same machine."""

    pid: int
    kafka: str
    http: str


@dataclass(frozen=True, slots=True)
class DataDir:
    path: Path

    @property
    def engine(self) -> Path:
        return self.path / "engine"

    @property
    def broker_log(self) -> Path:
        return self.path / "broker.log"

    @property
    def _addresses(self) -> Path:
        return self.path / "up.json"

    @property
    def _secrets(self) -> Path:
        return self.path / "secrets.json"

    @property
    def _kafka_port(self) -> Path:
        return self.path / "kafka-port"

    def lock(self) -> None:
        """Creates the directory and locks it for the life of this process. Raises OperatorError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperatorError(
                f"the data directory {self.path} cannot be written ({error.strerror}): "
                "choose another with --data-dir or CLICKMILL_DATA_DIR"
            ) from error
        if not _try_lock(descriptor):
            time.sleep(_LOOK_SECONDS)  # it may have been a command that checked whether an `up` runs
            if not _try_lock(descriptor):
                raise OperatorError(
                    f"`clickmill up` runs in {self.path} already: stop it, or choose another --data-dir"
                )
        self.withdraw_addresses()  # left by an `up` that was killed

    def publish_addresses(self, addresses: Addresses) -> None:
        write_durably(self._addresses, [json.dumps(asdict(addresses)).encode()])

    def withdraw_addresses(self) -> None:
        self._addresses.unlink(missing_ok=True)

    def addresses(self) -> Addresses:
        try:
            addresses = Addresses(**json.loads(self._addresses.read_bytes()))
            if not self._is_locked():
                raise ProcessLookupError("the process that wrote up.json has ended")
        except PermissionError as error:
            raise NotRunning(
                f"{error.filename} is not yours to read: run this as the user of `clickmill up`"
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise NotRunning(
                f"no `clickmill up` is running in {self.path.resolve()}: start it, name its directory with --data-dir "
                "or CLICKMILL_DATA_DIR, or set CLICKMILL_KAFKA_URL and CLICKMILL_API_URL"
            ) from error
        return addresses

    def _is_locked(self) -> bool:
        """Whether an `up` holds the directory. The process id does not tell: it may have been reused."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def get_or_create_secret(self, name: str) -> str:
        """A random secret of this directory, created at the first call and kept."""
        if (kept := self.saved_secret(name)) is not None:
            return kept
        made = secrets.token_urlsafe(32)
        self.save_secrets({name: made})
        return made

    def save_secrets(self, values: dict[str, str]) -> None:
        """Adds secrets to the file, which only its owner can read."""
        write_durably(self._secrets, [json.dumps(self._read_secrets() | values, indent=1).encode()])

    def saved_secret(self, name: str) -> str | None:
        return self._read_secrets().get(name)

    def _read_secrets(self) -> dict[str, str]:
        """Raises OperatorError if the file is damaged: new secrets would make new users of all visitors."""
        try:
            found = json.loads(self._secrets.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise OperatorError(f"{self._secrets} is damaged: bring back a copy of it ({error})") from error
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise OperatorError(f"{self._secrets} is damaged: it holds no JSON object of texts")
        return found

    def kafka_port(self) -> int | None:
        """The port of the embedded broker at the last start."""
        try:
            return int(self._kafka_port.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def save_kafka_port(self, port: int) -> None:
        write_durably(self._kafka_port, [f"{port}\n".encode()])


def _try_lock(descriptor: int) -> bool:
    """Locks an open file exclusively; False if it is locked already."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def with_running_broker(settings: Settings) -> Settings:
    """The settings, or those with the broker of a running `up` if they name no other.

    With that broker, the visitor secret of `up` fills in for a missing one. Raises OperatorError.
    """
    data_dir = DataDir(settings.data_dir)
    try:
        kafka = data_dir.addresses().kafka
    except NotRunning:
        if settings.kafka_url == EMBEDDED:
            raise
        return settings
    if settings.kafka_url not in (EMBEDDED, kafka):
        return settings
    secret = settings.visitor_secret or data_dir.saved_secret("visitor_secret") or ""
    return settings.model_copy(update={"kafka_url": kafka, "visitor_secret": secret})
