"""What tells clicks apart: their event ids, their users and what was clicked, as 64-bit hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rollups.fields import Fields, sizes
from rollups.siphash import Hashes, siphash

_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Identities:
    """Arrays over rows in log order; 0 where a row has none."""

    clicked_ms: NDArray[np.int64]
    ids: Hashes
    users: Hashes
    places: Hashes  # the link, or the affiliate placement of a click without one

    def repeat_keys(self, seconds: int) -> Hashes:
        """Equal for clicks of one user on one link in one slot of so many seconds of click time; never 0."""
        slots = (self.clicked_ms // (seconds * 1000)).astype(np.uint64)
        keys = _mixed(self.users ^ _mixed(self.places ^ _mixed(slots)))
        keys[keys == 0] = 1
        return keys


class Identify:
    """Keyed hashes: neither addresses nor visitor ids leave the worker, and nobody can make two collide."""

    def __init__(self, visitor_secret: str) -> None:
        self._visitor, self._address, self._other = (
            _key(f"{what}\0{visitor_secret}") for what in ("visitor", "address", "other")
        )

    def of(self, fields: Fields) -> Identities:
        ids = _hashes(fields.event_id, self._other)
        return Identities(fields.clicked_ms, ids, self._users(fields), self._places(fields))

    def _users(self, fields: Fields) -> Hashes:
        """As `ingest.click.user_identity` has it: the visitor id, else address and user agent, else nothing."""
        users = _hashes(fields.visitor_id, self._visitor)
        rows = np.flatnonzero(users == 0)
        ips, agents = (texts.take(rows).fill_null("").to_pylist() for texts in (fields.ip, fields.user_agent))
        addresses = pa.array(
            [f"{ip}\0{agent}" if ip or agent else None for ip, agent in zip(ips, agents, strict=True)], pa.string()
        )
        users[rows] = _hashes(addresses, self._address)
        return users

    def _places(self, fields: Fields) -> Hashes:
        links, domains = _hashes(fields.link_id, self._other), _hashes(fields.domain, self._other)
        accounts, publishers, advertisers, networks = (
            ids.astype(np.uint64)
            for ids in (fields.account_id, fields.publisher_id, fields.advertiser_id, fields.network_id)
        )
        linked = _mixed(links ^ _mixed(domains ^ _mixed(accounts)))
        return np.where(links != 0, linked, _mixed(publishers ^ _mixed(advertisers ^ _mixed(networks))))


def _key(secret: str) -> tuple[int, int]:
    digest = hashlib.sha256(secret.encode()).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def _hashes(texts: pa.StringArray, key: tuple[int, int]) -> Hashes:
    """0 for what is null or empty, and for nothing else."""
    hashes = siphash(texts, key)
    hashes[hashes == 0] = 1
    hashes[sizes(texts) == 0] = 0
    return hashes


def _mixed(values: Hashes) -> Hashes:
    """Spreads every bit over all 64 (the finalizer of SplitMix64)."""
    values = values + _ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
