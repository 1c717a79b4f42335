"""The data directory of `clickmill up`: where things are, its secrets, and how other commands find it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest.settings import EMBEDDED, Settings


class NotRunning(Exception):
    """A command needs a running `clickmill up`, or addresses in the settings, and has neither."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running `up` can be reached by commands on the same machine."""

    pid: int
    kafka: str
    http: str


@dataclass(frozen=True, slots=True)
class Home:
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

    def lock(self) -> None:
        """Takes the directory for the life of this process; the kernel lets go of it however the process ends."""
        descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError(f"`clickmill up` runs in {self.path} already") from error

    def publish(self, addresses: Addresses) -> None:
        self._addresses.write_text(json.dumps(asdict(addresses)))

    def withdraw(self) -> None:
        self._addresses.unlink(missing_ok=True)

    def addresses(self) -> Addresses:
        try:
            addresses = Addresses(**json.loads(self._addresses.read_text()))
            os.kill(addresses.pid, 0)
        except (OSError, ValueError, TypeError) as error:
            raise NotRunning(
                f"no `clickmill up` is running in {self.path}: "
                "start it, or set CLICKMILL_KAFKA_URL and CLICKMILL_API_URL"
            ) from error
        return addresses

    def secret(self, name: str) -> str:
        """A random secret of this directory, made the first time it is asked for and kept."""
        file = self.path / "secrets.json"
        kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        if name not in kept:
            kept[name] = secrets.token_urlsafe(32)
            self.keep(kept)
        return kept[name]

    def keep(self, values: dict[str, str]) -> None:
        """Adds to the secrets, readable by their owner only."""
        file = self.path / "secrets.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        with open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(kept | values, stream, indent=1)

    def kept(self, name: str) -> str | None:
        file = self.path / "secrets.json"
        value = json.loads(file.read_text()).get(name) if file.exists() else None
        return value if isinstance(value, str) else None


def with_broker(settings: Settings) -> Settings:
    """Settings whose Kafka can be dialled: those given, or the embedded broker of a running `up`."""
    if settings.kafka_url != EMBEDDED:
        return settings
    return settings.model_copy(update={"kafka_url": Home(settings.data_dir).addresses().kafka})
