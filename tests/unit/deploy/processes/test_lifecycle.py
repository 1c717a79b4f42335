"""Signals, sent to real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import asyncio, time
from deploy.processes.lifecycle import stop_on_signals

async def main():
    stop = stop_on_signals(lambda: print("last words", flush=True))
    print("running", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    {stopping}
    print("stopped", flush=True)

asyncio.run(main())
"""


def started(stopping: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(stopping=stopping)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_in_good_order(number: signal.Signals) -> None:
    child = started("await asyncio.sleep(0.1)")
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (0, "stopping\nstopped\n", "")


@pytest.mark.parametrize(
    "stopping", ["await asyncio.sleep(60)", "while True: time.sleep(0.1)"], ids=["waiting", "busy"]
)
@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (signal.SIGINT, signal.SIGINT, 130),
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGTERM, signal.SIGINT, 130),
    ],
)
def test_a_second_signal_ends_it_at_once(
    stopping: str, first: signal.Signals, second: signal.Signals, status: int
) -> None:
    child = started(stopping)
    assert child.stdout is not None
    child.send_signal(first)
    assert child.stdout.readline() == "stopping\n"
    began = time.monotonic()
    child.send_signal(second)
    out, err = child.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert (child.returncode, out, err) == (status, "last words\n", "")
