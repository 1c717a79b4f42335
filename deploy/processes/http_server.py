"""Uvicorn as Clickmill runs it: the port is bound at once, and the process decides when the server stops."""

from __future__ import annotations

import contextlib
import gc
import resource
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from deploy.processes.timeout_protocol import KEEP_ALIVE_TIMEOUT_SECONDS, TimeoutProtocol
from deploy.settings import Settings
from ingest.errors import OperatorError
from ingest.settings import split_list


class HttpServer(uvicorn.Server):
    def __init__(
        self, app: FastAPI, settings: Settings, host: str, port: int, bound: socket.socket | None = None
    ) -> None:
        """`bound` is the result of `bind` for host and port, if it was called before."""
        proxies = split_list(settings.trusted_proxies)
        super().__init__(
            uvicorn.Config(
                app,
                http=TimeoutProtocol,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                timeout_keep_alive=KEEP_ALIVE_TIMEOUT_SECONDS,
                timeout_graceful_shutdown=5,
            )
        )
        self._socket = bound or bind(host, port)
        self._end_streams: Callable[[], None] = getattr(app.state, "end_streams", lambda: None)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the application's streams first, for which uvicorn would wait in vain."""
        self._end_streams()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def listen(self) -> None:
        allow_connections()
        gc.collect()
        gc.freeze()  # loaded code stays: a collection of it would block for 0.14 s
        await self.serve(sockets=[self._socket])


def bind(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket bound to the port, which does not listen yet; 0 gives a free port. Raises OperatorError with the option
    to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio leaves Nagle's algorithm on, and each response waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OperatorError(f"cannot listen on {host}:{port} ({error.strerror}): choose another {option}") from error
    return bound


def allow_connections() -> None:
    """Raises the limit of open files, often 1,024, to the system's maximum: each connection is a file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
