"""A network link between two servers of a test, which can be cut and mended: a TCP proxy."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.support.balancer import pass_on


class Link:
    """Passes connections to `listen` on to `target`, both as (host, port), until it is closed."""

    def __init__(self, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self._target = target
        self._whole = True
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(listen)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections and refuses new ones."""
        self._whole = False
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client:
            if not self._whole:
                return
            with suppress(OSError), socket.create_connection(self._target) as server:
                self._open.add(client)
                if self._whole:
                    pass_on(client, server)
            self._open.discard(client)
