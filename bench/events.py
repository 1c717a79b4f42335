"""The events that every benchmark is fed with: realistic, and the same for the same seed.

JSON objects of about 350 bytes and 11 fields; 20,000 links of 500 accounts, popular ones more often (Zipf); 300,000
users, some of whom come back often; 3 % bots; 1 % of the events sent again with the same id.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from ingest.demo_world import BOTS, BROWSERS, COUNTRIES

LINKS = 20_000
ACCOUNTS = 500
USERS = 300_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_BOT_SHARE = 0.03
_RETRY_SHARE = 0.01
_CHUNK = 100_000
_VERSIONS = 40  # of each browser: about 200 user agents in all


def events(count: int, *, seed: int = 1, start_ms: int = START_MS, hours: float = 1.0) -> Iterator[tuple[bytes, bytes]]:
    """(Kafka key, JSON value) of each event, its click times spread evenly over the hours."""
    dice = np.random.default_rng(seed)
    subjects, tails = _links(), _users()
    agents, bots = _agents(), [agent.encode() for agent in BOTS]
    sent = 0
    while sent < count:
        size = min(_CHUNK, count - sent)
        links = np.minimum(np.floor(np.exp(dice.random(size) * np.log(LINKS))) - 1, LINKS - 1).astype(int).tolist()
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
            agent = bots[bits % len(bots)] if is_bot else agents[users[number] % len(agents)]
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
                    b'{"event_id":"%b","clicked_at":%d,%b%b"user_agent":"%b",%b'
                    % (event_id, at, subjects[links[number]], head, agent, tail),
                )
            )
        yield from values
        sent += size


def _links() -> list[bytes]:
    return [
        b'"account_id":%d,"domain":"go%d.example","link_id":"l%05x",'
        % (1 + rank % ACCOUNTS, rank % ACCOUNTS, rank * 7919 % 0xFFFFF)
        for rank in range(LINKS)
    ]


def _users() -> list[tuple[bytes, bytes, bytes]]:
    """(key, JSON before the user agent, JSON after it); keyed as the producer does it."""
    made = []
    for number in range(USERS):
        visitor = blake2b(b"%d" % number, digest_size=8).hexdigest().encode()
        key = blake2b(b"v\0" + visitor, digest_size=8).digest()
        head = b'"visitor_id":"%b","ip":"198.18.%d.%d",' % (visitor, number // 256 % 256, number % 256)
        country = COUNTRIES[number % len(COUNTRIES)].encode()
        tail = b'"referrer":"https://n%d.example/%d","country":"%b","method":"GET"}' % (
            number % 97,
            number % 1009,
            country,
        )
        made.append((key, head, tail))
    return made


def _agents() -> list[bytes]:
    return [f"{browser}/{version}".encode() for browser in BROWSERS for version in range(_VERSIONS)]
