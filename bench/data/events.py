"""The events of every benchmark: realistic, and the same for the same seed.

JSON objects of about 390 bytes and 11 fields; 500 accounts; 300,000 users, some with many clicks; 3 % bots; 1 % of the
events are sent twice with the same id. Links, user agents and referrers are about as different as in the 1.usa.gov
feeds of 2011 and 2012: the first n clicks have 3.7 n^0.69 agents, 0.7 n^0.87 links and 0.6 n^0.93 referrers, and the
commonest agent has 4 % of the clicks, the commonest link 6 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from zlib import crc32

import numpy as np

from bench.data.agents import pool
from ingest.simulator.world import BOTS, COUNTRIES

LINKS = 20_000  # of the rollups in the API's benchmark; the events have more
ACCOUNTS = 500
USERS = 300_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_BOT_SHARE = 0.03
_RETRY_SHARE = 0.01
_DIRECT_SHARE = 0.43  # of the clicks have no referrer
_CHUNK = 100_000
_POOL = 400_000  # agents, and links


class Ranks:
    """Draws ranks by Zipf-Mandelbrot: n draws have about n ** growth different ones."""

    def __init__(self, different: int, growth: float, offset: float) -> None:
        weights = (np.arange(different) + offset) ** (-1 / growth)
        self._cumulative = np.cumsum(weights) / weights.sum()

    def draw(self, dice: np.random.Generator, count: int) -> list[int]:
        return np.searchsorted(self._cumulative, dice.random(count)).tolist()  # type: ignore[no-any-return]


_AGENTS = Ranks(_POOL, 0.69, 12)
_LINKS = Ranks(_POOL, 0.87, 3)
_REFERRERS = Ranks(2_000_000, 0.93, 10)


def events(count: int, *, seed: int = 1, start_ms: int = START_MS, hours: float = 1.0) -> Iterator[tuple[bytes, bytes]]:
    """(Kafka key, JSON value) of each event; click times are spread evenly over the hours."""
    dice = np.random.default_rng(seed)
    subjects, tails = _links(), _users()
    agents, bots = pool(_POOL), [agent.encode() for agent in BOTS]
    sent = 0
    while sent < count:
        size = min(_CHUNK, count - sent)
        links, browsers = _LINKS.draw(dice, size), _AGENTS.draw(dice, size)
        referrers, direct = _REFERRERS.draw(dice, size), (dice.random(size) < _DIRECT_SHARE).tolist()
        users = np.floor(USERS * dice.random(size) ** 2).astype(int).tolist()
        kinds, random = dice.random(size).tolist(), dice.integers(0, 2**62, size).tolist()
        values: list[tuple[bytes, bytes]] = []
        for number in range(size):
            kind = kinds[number]
            if kind < _RETRY_SHARE and values:
                values.append(values[-1 - random[number] % min(1000, len(values))])
                continue
            key, head, tail = tails[users[number]]
            at = start_ms + int((sent + number) / count * hours * 3_600_000)
            bits = random[number]
            is_bot = kind < _RETRY_SHARE + _BOT_SHARE
            agent = bots[bits % len(bots)] if is_bot else agents[browsers[number]]
            referrer = (
                b"" if direct[number] else b"https://n%d.example/%x" % (referrers[number] % 997, referrers[number])
            )
            event_id = b"%08x-%04x-7%03x-%04x-%012x" % (
                at >> 16,
                at & 0xFFFF,
                bits >> 50,
                0x8000 | bits & 0x3FFF,
                bits & 0xFFFFFFFFFFFF,
            )
            values.append(
                (
                    key,
                    b'{"event_id":"%b","clicked_at":%d,%b%b"user_agent":"%b","referrer":"%b",%b'
                    % (event_id, at, subjects[links[number]], head, agent, referrer, tail),
                )
            )
        yield from values
        sent += size


def _links() -> list[bytes]:
    return [
        b'"account_id":%d,"domain":"go%d.example","link_id":"l%05x",'
        % (1 + rank % ACCOUNTS, rank % ACCOUNTS, rank * 7919 % 0xFFFFF)
        for rank in range(_POOL)
    ]


def _users() -> list[tuple[bytes, bytes, bytes]]:
    """(key, JSON before the user agent, JSON after it), with the producer's key."""
    made = []
    for number in range(USERS):
        visitor = blake2b(b"%d" % number, digest_size=8).hexdigest().encode()
        key = b"%08x" % crc32(visitor)
        head = b'"visitor_id":"%b","ip":"198.18.%d.%d",' % (visitor, number // 256 % 256, number % 256)
        country = COUNTRIES[number % len(COUNTRIES)].encode()
        tail = b'"country":"%b","method":"GET"}' % country
        made.append((key, head, tail))
    return made
