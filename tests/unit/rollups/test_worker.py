"""What a worker does when its sessions fail."""

from __future__ import annotations

import asyncio
import re
from typing import cast

import pytest

from rollups import worker
from rollups.clickhouse import ClickHouse
from rollups.settings import Settings

FIRST_PAUSE, MAX_PAUSE = 0.1, 0.4  # seconds


class FailingSession:
    """Opens, runs for as many seconds as said, and fails."""

    def __init__(self, seconds: list[float], stop: asyncio.Event) -> None:
        self._seconds, self._stop = seconds, stop

    async def open(self, *_: object) -> FailingSession:
        return self

    async def run_session(self, _stop: asyncio.Event) -> None:
        await asyncio.sleep(self._seconds.pop(0))
        if not self._seconds:
            self._stop.set()
        raise ConnectionError("no longer")


@pytest.mark.parametrize(
    ("seconds", "pauses"),
    [([0.0] * 4, [0.1, 0.2, 0.4, 0.4]), ([0.0, 0.0, 0.5, 0.0], [0.1, 0.2, 0.1, 0.2])],
    ids=["each fails at once", "one lasts"],
)
def test_the_pause_grows_until_a_session_lasts(
    seconds: list[float], pauses: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def ready(*_: object) -> None:
        pass

    async def run() -> None:
        stop = asyncio.Event()
        monkeypatch.setattr(worker, "Session", FailingSession(seconds, stop))
        await worker.Worker(Settings(), cast(ClickHouse, None), pauses=(FIRST_PAUSE, MAX_PAUSE)).run_worker(stop)

    monkeypatch.setattr(worker, "wait_for_broker", ready)
    monkeypatch.setattr(worker, "wait_for_clickhouse", ready)
    asyncio.run(run())
    assert [float(pause) for pause in re.findall(r"again in (\S+) s", caplog.text)] == pauses
