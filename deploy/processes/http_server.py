"""Uvicorn as Clickmill runs it: the port is bound at once, and the process decides when the server stops."""

from __future__ import annotations

import contextlib
import gc
import resource
import socket
from collections.abc import Iterator

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
        """`bound` is what `bind` gave for host and port, if that had to come before the app."""
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

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def listen(self) -> None:
        allow_connections()
        gc.collect()
        gc.freeze()  # what is loaded stays: to walk it takes 0.14 s, in which nobody is answered
        await self.serve(sockets=[self._socket])


def bind(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket that has the port and takes no connections yet; 0 gives a free port. Errors: OperatorError, which names
    the option to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio does not turn Nagle's algorithm off, and each answer waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OperatorError(f"cannot listen on {host}:{port} ({error.strerror}): choose another {option}") from error
    return bound


def allow_connections() -> None:
    """Raises the limit of open files, which is often 1,024, to what the system allows: a connection is a file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
