"""A load balancer for tests: round robin over servers on this machine, by connection."""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def balancer(*ports: int) -> Iterator[int]:
    """Yields the port to connect to."""
    turns = itertools.cycle(ports)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, turns), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, turns: Iterator[int]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", next(turns)))
            threading.Thread(target=pass_on, args=(client, server), daemon=True).start()


def pass_on(client: socket.socket, server: socket.socket) -> None:
    """Passes bytes on in both directions until one side ends; then closes both."""
    with client, server, selectors.DefaultSelector() as ready, suppress(OSError):
        ready.register(client, selectors.EVENT_READ, server)
        ready.register(server, selectors.EVENT_READ, client)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)
