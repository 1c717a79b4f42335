"""What tells clicks apart: their event ids, their users and what was clicked, as 64-bit hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from ingest.event import identity_of
from rollups.fields import Fields

_REMEMBERED = 131_072  # users, so that those who come back are not hashed again
_MOST_TEXT = 512  # characters of a user agent that is worth remembering
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Identities:
    """Arrays over rows in log order; 0 where a row has none."""

    clicked_ms: NDArray[np.int64]
    ids: NDArray[np.uint64]
    users: NDArray[np.uint64]
    places: NDArray[np.uint64]  # the link, or the affiliate placement of a click without one

    def repeat_keys(self, seconds: int) -> NDArray[np.uint64]:
        """Equal for clicks of one user on one link in one slot of so many seconds of click time; never 0."""
        slots = (self.clicked_ms // (seconds * 1000)).astype(np.uint64)
        keys = _mixed(self.users ^ _mixed(self.places ^ _mixed(slots)))
        keys[keys == 0] = 1
        return keys


class Identify:
    def __init__(self, visitor_secret: str) -> None:
        secret = hashlib.sha256(visitor_secret.encode()).digest()
        self._seed = int.from_bytes(secret[:8], "big")

        def user(visitor_id: str | None, ip: str | None, user_agent: str | None) -> int:
            identity = identity_of(visitor_id, ip, user_agent)
            if identity is None:
                return 0
            return int.from_bytes(hashlib.blake2b(identity, digest_size=8, key=secret).digest(), "big") or 1

        self._new_user, self._user = user, lru_cache(maxsize=_REMEMBERED)(user)

    def of(self, fields: Fields) -> Identities:
        return Identities(
            fields.clicked_ms,
            np.array([self._hash(text) if text else 0 for text in fields.event_id], np.uint64),
            self._users(fields),
            self._places(fields),
        )

    def _users(self, fields: Fields) -> NDArray[np.uint64]:
        """Keyed hashes, so that neither addresses nor visitor ids leave the worker."""
        users = [
            self._user(visitor, None, None) if visitor else self._stranger(ip, agent)
            for visitor, ip, agent in zip(fields.visitor_id, fields.ip, fields.user_agent, strict=True)
        ]
        return np.array(users, np.uint64)

    def _stranger(self, ip: str | None, user_agent: str | None) -> int:
        lasting = user_agent is None or len(user_agent) <= _MOST_TEXT
        return (self._user if lasting else self._new_user)(None, ip, user_agent)

    def _places(self, fields: Fields) -> NDArray[np.uint64]:
        links = np.array([self._hash(text) if text else 0 for text in fields.link_id], np.uint64)
        domains = np.array([self._hash(text) if text else 0 for text in fields.domain], np.uint64)
        linked = _mixed(links ^ _mixed(domains ^ _mixed(fields.account_id.astype(np.uint64))))
        publishers, advertisers, networks = (
            ids.astype(np.uint64) for ids in (fields.publisher_id, fields.advertiser_id, fields.network_id)
        )
        placed = _mixed(publishers ^ _mixed(advertisers ^ _mixed(networks)))
        return np.where(links != 0, linked, placed)

    def _hash(self, text: str) -> int:
        """64 bits, never 0; seeded, so that nobody outside can make ids that collide."""
        return xxh3_64_intdigest(text.encode(), self._seed) or 1


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spreads every bit over all 64 (the finalizer of SplitMix64)."""
    values = values + _ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
