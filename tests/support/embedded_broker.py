"""The embedded broker alone, for tests that need a broker but no pipeline."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded.broker import EmbeddedBroker
from deploy.settings import Settings
from ingest.kafka.admin import ensure_topics, wait_for_broker


class Tansu:
    """A running broker with Clickmill's topics. A test can freeze, thaw and kill it."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    def settings(self, **fields: object) -> Settings:
        return Settings(kafka_url=self._broker.address, partitions=3).model_copy(update=fields)

    def freeze(self) -> None:
        """SIGSTOP: the broker accepts connections but never responds."""
        self._signal(signal.SIGSTOP)
        stats = Path(f"/proc/{self._broker.pid}/task")
        while any((task / "stat").read_text().rpartition(")")[2].split()[0] != "T" for task in stats.iterdir()):
            time.sleep(0.001)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self._broker.pid is not None
        os.kill(self._broker.pid, number)


@contextmanager
def tansu(directory: Path) -> Iterator[Tansu]:
    broker = EmbeddedBroker(directory / "tansu.log")
    broker.start()
    running = Tansu(broker)
    try:
        asyncio.run(_prepare(running.settings()))
        yield running
    finally:
        if broker.running():
            running.thaw()
        broker.stop()


async def _prepare(settings: Settings) -> None:
    await wait_for_broker(settings, asyncio.Event())
    await ensure_topics(settings)
