"""Events of hostile visitors: every text has the maximal length, and all differ."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from bench.data.events import START_MS

# No bot rule consists of these letters only.
_LETTERS = np.frombuffer(b"0123456789;()/._-qxzjkv", np.uint8)
_NAMES = np.frombuffer(b"0123456789abcdef", np.uint8)
_AGENT, _LINK, _ID, _VISITOR, _REFERRER, _HOST = 2000, 1000, 64, 128, 1000, 200
_CHUNK = 10_000


def hostile_events(
    count: int, *, seed: int = 1, start_ms: int = START_MS, hours: float = 1.0
) -> Iterator[tuple[bytes, bytes]]:
    """(Kafka key, JSON value) of each event, about 4.5 kB, each with its own account and link."""
    dice = np.random.default_rng(seed)
    for first in range(0, count, _CHUNK):
        size = min(_CHUNK, count - first)
        agents, referrers = (_texts(dice, _LETTERS, length, size) for length in (_AGENT, _REFERRER))
        links, ids, visitors, hosts = (_texts(dice, _NAMES, length, size) for length in (_LINK, _ID, _VISITOR, _HOST))
        others = list(zip(visitors, agents, referrers, strict=True))
        accounts = dice.integers(1_000_000, 2**62, size).tolist()
        for number in range(size):
            at = start_ms + int((first + number) / count * hours * 3_600_000)
            value = (
                b'{"event_id":"%b","clicked_at":%d,"account_id":%d,"domain":"%b.example","link_id":"%b",'
                b'"visitor_id":"%b","user_agent":"%b","referrer":"%b","country":"XX","method":"GET","ip":"198.18.0.1"}'
                % (ids[number], at, accounts[number], hosts[number], links[number], *others[number])
            )
            yield blake2b(b"v\0" + visitors[number], digest_size=8).digest(), value


def _texts(dice: np.random.Generator, letters: NDArray[np.uint8], length: int, count: int) -> list[bytes]:
    drawn = letters[dice.integers(0, len(letters), (count, length))]
    return [row.tobytes() for row in drawn]
