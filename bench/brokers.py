"""The brokers of the benchmarks, as child processes: Apache Kafka where there is Java, else the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.broker import EmbeddedBroker
from deploy.settings import Settings
from tests.support.kafka_broker import KafkaBroker, missing_reason

KINDS = ("kafka", "tansu")


@dataclass(frozen=True, slots=True)
class Broker:
    kind: str
    address: str
    pid: int

    def settings(self, **fields: object) -> Settings:
        return Settings(kafka_url=self.address).model_copy(update=fields)


def default_kind() -> str:
    """Apache Kafka unless this machine cannot run it."""
    return "tansu" if missing_reason() else "kafka"


@contextmanager
def running_broker(kind: str, directory: Path) -> Iterator[Broker]:
    """Yields an empty broker; stops it and deletes its data afterwards."""
    if kind == "tansu":
        embedded = EmbeddedBroker(directory / "tansu.log")
        embedded.start()
        try:
            yield Broker(kind, embedded.address, embedded.pid or 0)
        finally:
            embedded.stop()
        return
    if reason := missing_reason():
        raise RuntimeError(reason)
    kafka = KafkaBroker(directory / "kafka")
    kafka.start()
    try:
        yield Broker(kind, kafka.bootstrap, kafka.process.pid if kafka.process else 0)
    finally:
        kafka.kill()
