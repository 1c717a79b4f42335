"""Delays 401 responses: a client that waits for one does not send the next request meanwhile."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

PER_SECOND, BURST = 20.0, 50  # of one address
ALL_PER_SECOND, ALL_BURST = 500.0, 1000
MAX_DELAY_SECONDS = 1.0  # that a response is delayed
MAX_WAITING = 1000  # responses; further ones are not delayed
MAX_NAMES = 10_000
_NETWORK_BITS = 64  # of an IPv6 address: what a provider gives to one customer


class FailedAuthThrottle:
    """For one event loop. Delays responses of an address, or of all together, above their rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._all = LeakyBuckets(PER_SECOND, BURST, clock), LeakyBuckets(ALL_PER_SECOND, ALL_BURST, clock)
        self._waiting = 0

    async def delay(self, client: tuple[str, int] | None) -> None:
        """Returns when the response to this address and port may be sent."""
        seconds = max(self._each.add(network_of(client[0] if client else "")), self._all.add(""))
        if seconds and self._waiting < MAX_WAITING:
            self._waiting += 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self._waiting -= 1


class LeakyBuckets:
    """So many a second of each name, after a burst. The names not seen for longest are forgotten first."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float], most: int = MAX_NAMES) -> None:
        self._interval, self._ahead = 1 / per_second, (burst - 1) / per_second
        self._clock, self._most = clock, most
        self._due: OrderedDict[str, float] = OrderedDict()  # of the next one, if all came evenly

    def add(self, name: str) -> float:
        """The seconds that one more has to wait, `MAX_DELAY_SECONDS` at most."""
        now = self._clock()
        due = max(self._due.pop(name, 0.0), now - self._ahead)
        self._due[name] = min(due, now + MAX_DELAY_SECONDS) + self._interval
        if len(self._due) > self._most:
            self._due.popitem(last=False)
        return min(max(0.0, due - now), MAX_DELAY_SECONDS)


def network_of(address: str) -> str:
    """The network of one customer: an IPv4 address, the first half of an IPv6 address; empty for any other text."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found) >> _NETWORK_BITS << _NETWORK_BITS, _NETWORK_BITS)))
