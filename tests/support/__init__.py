"""Real engines and brokers for the tests."""

from __future__ import annotations

import random
import socket


def listens(port: int) -> bool:
    """Whether something accepts connections on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port to keep over restarts: outside the range from which the system gives ports to clients."""
    while listens(port := random.randrange(20000, 32000)):
        pass
    return port
