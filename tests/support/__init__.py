"""Real engines and brokers for the tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def some(items: Iterable[Item]) -> list[Item]:
    """The items, of which there must be one at least: a loop of assertions over nothing asserts nothing."""
    found = list(items)
    assert found, "nothing to assert anything of"
    return found


def listens(port: int) -> bool:
    """Whether something accepts connections on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port to keep over restarts: outside the range from which the system gives ports to clients."""
    while listens(port := random.randrange(20000, 32000)):
        pass
    return port
