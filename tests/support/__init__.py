"""Real engines and brokers for the tests, and small helpers."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def some(items: Iterable[Item]) -> list[Item]:
    """The items as a list. Fails if there is none: a loop of assertions over nothing asserts nothing."""
    found = list(items)
    assert found, "no items to check"
    return found


def listens(port: int) -> bool:
    """Whether something accepts connections on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that stays free over restarts: outside the range that the system gives to clients."""
    while listens(port := random.randrange(20000, 32000)):
        pass
    return port
