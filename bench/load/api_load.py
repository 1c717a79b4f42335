"""Requests over keep-alive connections: by `wrk` if installed, else, and for lists of URLs, by a socket client."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Load:
    """In milliseconds, except `per_second`."""

    p50: float
    p99: float
    max: float
    per_second: float

    def rounded(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in asdict(self).items()}


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio sockets"


def hammer(request: Request, connections: int, seconds: float) -> Load:
    """Repeats one request over so many connections."""
    if shutil.which("wrk"):
        return _wrk(request, connections, seconds)
    return asyncio.run(_for_a_while(request, connections, seconds))


def each_once(requests: Sequence[Request], connections: int = 1) -> Load:
    """Sends each request once, over so many connections."""
    return asyncio.run(_each_once(requests, connections))


def load_of(milliseconds: Sequence[float], seconds: float) -> Load:
    times = sorted(milliseconds)
    return Load(times[len(times) // 2], times[len(times) * 99 // 100], times[-1], len(times) / seconds)


def _wrk(request: Request, connections: int, seconds: float) -> Load:
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", *headers, request.url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    worst = re.search(r"Latency +\S+ +\S+ +([\d.]+)(us|ms|s|m)\b", output)
    quantiles = dict(re.findall(r"(50|99)% +([\d.]+(?:us|ms|s|m))", output))
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    assert worst
    assert rate
    return Load(
        _milliseconds(quantiles["50"]),
        _milliseconds(quantiles["99"]),
        _milliseconds("".join(worst.groups())),
        float(rate[1]),
    )


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\D+)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


async def _each_once(requests: Sequence[Request], connections: int) -> Load:
    waiting = iter(requests)
    times: list[float] = []

    async def work() -> None:
        async with _Connection(requests[0]) as connection:
            times.extend([await connection.ask(request) for request in waiting])

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return load_of(times, time.perf_counter() - started)


async def _for_a_while(request: Request, connections: int, seconds: float) -> Load:
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def work() -> None:
        async with _Connection(request) as connection:
            while time.perf_counter() < until:
                elapsed = await connection.ask(request)
                times.append(elapsed)

    await asyncio.gather(*(work() for _ in range(connections)))
    return load_of(times, seconds)


class _Connection:
    def __init__(self, request: Request) -> None:
        self._address = urlsplit(request.url)

    async def __aenter__(self) -> _Connection:
        host, port = self._address.hostname, self._address.port
        self._reader, self._writer = await asyncio.open_connection(host, port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, request: Request) -> float:
        """Milliseconds until the response is complete."""
        parts = urlsplit(request.url)
        lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: bench"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        started = time.perf_counter()
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        await self._reader.readexactly(length_of(head))
        return (time.perf_counter() - started) * 1000


def length_of(head: bytes) -> int:
    """Bytes of the body, from the head of the response."""
    length = _LENGTH.search(head)
    if length is None:
        raise RuntimeError(head.decode())
    return int(length[1])
