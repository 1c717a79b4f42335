"""The cost of clients with invalid keys for a client with a key: its latency alone and beside many fast ones.

The client repeats one cached request with pauses of 10 ms. Strangers run in a separate process and send a new key with
each request, once well formed and once not.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.load.api_load import Load, Request, each_once, length_of, load_of
from bench.load.api_questions import numbers
from bench.parts.api import served
from bench.report.results import show

STRANGERS = 16
_PAUSE_SECONDS = 0.01
KEYS: dict[str, Callable[[], str]] = {
    "keys like ours": lambda: f"cm_{secrets.token_urlsafe(32)}",
    "other texts": lambda: secrets.token_hex(40),
}


def run(*, quick: bool = False) -> dict[str, Any]:
    seconds = 3.0 if quick else 10.0
    with served(1_000_000) as server:
        [request] = server.requests(numbers("daily")[:1])
        each_once([request] * 50)
        found: dict[str, Any] = {"alone": paced(request, seconds).rounded()}
        for name in KEYS:
            with strangers(request.url, name) as refused:
                found[name] = paced(request, seconds).rounded()
            found[name]["refused_per_second"] = round(refused.value / seconds)
    return {"strangers": STRANGERS, "seconds": seconds, "caller": found}


def table(result: dict[str, Any]) -> None:
    """Milliseconds of the client with a key."""
    rows = [
        (name, load["p50"], load["p99"], load["max"], load.get("refused_per_second", ""))
        for name, load in result["caller"].items()
    ]
    title = f"A caller beside {result['strangers']} strangers (ms)"
    show(title, ["strangers send", "p50", "p99", "max", "refused/s"], rows)


def paced(request: Request, seconds: float) -> Load:
    """Repeats the request over one connection, with a pause after each."""
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        times.append(each_once([request]).p50)
        time.sleep(_PAUSE_SECONDS)
    return load_of(times, seconds)


@contextmanager
def strangers(url: str, keys: str) -> Iterator[Any]:
    """Runs clients with invalid keys during the block. Yields the number of refusals, filled at the end."""
    context = multiprocessing.get_context("spawn")
    refused, begun = context.Value("q", 0), context.Event()
    process = context.Process(target=_ask, args=(url, keys, refused, begun), daemon=True)
    process.start()
    begun.wait(30)
    time.sleep(0.5)
    refused.value = 0
    try:
        yield refused
    finally:
        process.kill()
        process.join()


def _ask(url: str, keys: str, refused: Any, begun: Any) -> None:
    asyncio.run(_ask_all(url, KEYS[keys], refused, begun))


async def _ask_all(url: str, key: Callable[[], str], refused: Any, begun: Any) -> None:
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")

    async def stranger() -> None:
        reader, writer = await asyncio.open_connection(name, int(port))
        begun.set()
        while True:
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {key()}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 401", b"HTTP/1.1 429")):
                raise RuntimeError(head.decode())
            await reader.readexactly(length_of(head))
            refused.value += 1

    await asyncio.gather(*(stranger() for _ in range(STRANGERS)))
