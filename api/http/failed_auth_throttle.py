"""Refusals of callers without a valid key, at a pace: whoever waits for one does not ask for the next meanwhile."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PER_SECOND, BURST = 20.0, 50  # of one address
ALL_PER_SECOND, ALL_BURST = 500.0, 1000
LONGEST_SECONDS = 1.0  # that a refusal waits
WAITING = 1000  # refusals at most; further ones go out at once
_ADDRESSES = 10_000
_NETWORK_BITS = 64  # what one customer of a network has, of an IPv6 address


class FailedAuthThrottle:
    """ASGI middleware, for one event loop: 401 is held back where an address, or all together, got too many of them.

    A caller with a valid key never waits, also where all callers share the address of a proxy.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._each, self._all = Pace(PER_SECOND, BURST, clock), Pace(ALL_PER_SECOND, ALL_BURST, clock)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def paced(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                await self._hold(scope.get("client"))
            await send(message)

        await self._app(scope, receive, paced)

    async def _hold(self, client: tuple[str, int] | None) -> None:
        wait = max(self._each.wait(network_of(client[0] if client else "")), self._all.wait(""))
        if wait and self._waiting < WAITING:
            self._waiting += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._waiting -= 1


class Pace:
    """So many a second of each name, after a burst; the names that were not seen for longest are forgotten first."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval, self._ahead = 1 / per_second, (burst - 1) / per_second
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()  # when the next would come if all came evenly

    def wait(self, name: str) -> float:
        """The seconds until the turn of one more, `LONGEST_SECONDS` at most."""
        now = self._clock()
        due = max(self._due.pop(name, 0.0), now - self._ahead)
        self._due[name] = min(due, now + LONGEST_SECONDS) + self._interval
        if len(self._due) > _ADDRESSES:
            self._due.popitem(last=False)
        return min(max(0.0, due - now), LONGEST_SECONDS)


def network_of(address: str) -> str:
    """What stands for all addresses of one customer: an IPv4 address, the first half of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found) >> _NETWORK_BITS << _NETWORK_BITS, _NETWORK_BITS)))
