"""Real Kafka under load: workers join and die, broker and ClickHouse are killed, and every click is counted once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import Record
from tests.faults.processes import LONG
from tests.integration.test_recovery import Servers, servers
from tests.support.stack import Stack, separate_stack

__all__ = ["servers"]

DAY = "2026-03-01"


class Load:
    """Sends clicks to the collector until stopped; retries each until accepted, and repeats 1 % once or twice."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.sent, self._stopped = stack, 0, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        dice = random.Random(5)
        while not self._stopped.is_set():
            events = [self._event(self.sent + number) for number in range(50)]
            self._deliver(events + [dice.choice(events)] * dice.choice([0, 1, 2]) if dice.random() < 0.5 else events)
            self.sent += 50

    def _deliver(self, events: list[dict[str, object]]) -> None:
        while True:
            try:
                if self.stack.send(events).status_code == 202:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)

    @staticmethod
    def _event(number: int) -> dict[str, object]:
        link = {"account_id": 1, "domain": "go.example", "link_id": f"l{number % 50}"}
        affiliate = {"publisher_id": 1 + number % 3, "advertiser_id": 2, "network_id": 3}
        identities = {"event_id": f"e{number}", "visitor_id": f"v{number}"}
        return {"clicked_at": f"{DAY}T{number % 24:02}:00:00Z", **identities, **link, **affiliate}

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self.sent


@pytest.fixture
def stack(servers: Servers, tmp_path: Path) -> Iterator[Stack]:
    running = separate_stack(tmp_path, servers.broker.bootstrap, servers.engine.url, workers=3)
    yield running
    running.stop()


def settle(stack: Stack, load: Load) -> None:
    """Everything accepted is counted once: by day, by the audit, and by a recount of the log."""
    sent = load.stop()
    stack.wait_counted(120)
    counted = sum(row["click_count"] for row in stack.clicks(DAY, DAY))
    assert counted == sent
    done = stack.run("audit", "--from", DAY, "--to", DAY)
    assert f"{DAY}: {sent} clicks on links, {sent} in the log" in done.stdout, done.stdout


def test_workers_join_and_die(stack: Stack, record: Record) -> None:
    load, dice, deaths = Load(stack), random.Random(), 0
    workers = [name for name in stack.processes if name.startswith("worker")]
    end = time.monotonic() + (600 if LONG else 60)
    while time.monotonic() < end:
        worker = stack.processes[dice.choice(workers)]
        if dice.random() < 0.7:
            worker.kill()
        else:
            worker.stop()
        deaths += 1
        time.sleep(dice.random() * 3)
        worker.start()
        time.sleep(dice.random() * 4)
    settle(stack, load)
    record("rebalance storm: one of 3 workers dies or leaves, and comes back", deaths)


def test_kill_the_broker_and_clickhouse(stack: Stack, servers: Servers, record: Record) -> None:
    load, dice = Load(stack), random.Random()
    kills = 60 if LONG else 8
    for number in range(kills):
        time.sleep(1 + dice.random() * 2)
        if number % 4 == 3:
            servers.engine.kill()
            servers.engine.start()
        else:
            servers.broker.kill()
            servers.broker.restart()
    settle(stack, load)
    record("random kill -9 of the Kafka broker (3 of 4) and ClickHouse under load", kills)
