"""Pauses double up to the longest, end when a process stops, and start over after a success."""

from __future__ import annotations

import asyncio
import time

import pytest

from ingest.backoff import Backoff, pause


def test_pauses_double_up_to_the_longest() -> None:
    assert [pause(failures, 0.5, 10.0) for failures in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert pause(100_000, 0.05, 5.0) == 5.0


def test_each_wait_is_longer_until_a_success() -> None:
    async def waited() -> list[float]:
        backoff, seconds = Backoff(0.001, 0.004), []
        for _ in range(4):
            seconds.append(backoff.seconds)
            await backoff.wait()
        backoff.reset()
        return [*seconds, backoff.seconds]

    assert asyncio.run(waited()) == [0.001, 0.002, 0.004, 0.004, 0.001]


@pytest.mark.parametrize("after", [0.0, 0.05])
def test_a_stop_ends_the_wait(after: float) -> None:
    async def stopped() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(after, stop.set)
        await Backoff(30.0, 30.0).wait(stop)

    started = time.monotonic()
    asyncio.run(stopped())
    assert time.monotonic() - started < 5
