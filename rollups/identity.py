"""What tells clicks apart: their event ids, their users and what was clicked, as 64-bit hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ingest.event import Click, clicked_at_ms, user_identity
from rollups.decode import Row

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
        self._secret = hashlib.sha256(visitor_secret.encode()).digest()

    def rows(self, rows: list[Row]) -> Identities:
        nobody = Click(clicked_at=0)
        clicks = [row.click or nobody for row in rows]
        return Identities(
            np.array([clicked_at_ms(click) for click in clicks], np.int64),
            np.array([hash64(click.event_id.encode()) if click.event_id else 0 for click in clicks], np.uint64),
            np.array([self._user(click) for click in clicks], np.uint64),
            np.array([_place(click) for click in clicks], np.uint64),
        )

    def _user(self, click: Click) -> int:
        """A keyed hash, so that neither addresses nor visitor ids leave the worker."""
        identity = user_identity(click)
        return hash64(identity, self._secret) if identity else 0


def hash64(text: bytes, key: bytes = b"") -> int:
    """64 bits of BLAKE2b, never 0."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "big") or 1


def _place(click: Click) -> int:
    if click.link_id is not None:
        return _place_hash(click.account_id, click.domain, click.link_id)
    return _place_hash(click.publisher_id, click.advertiser_id, click.network_id)


@lru_cache(100_000)
def _place_hash(*parts: int | str | None) -> int:
    return hash64("\0".join(map(str, parts)).encode())


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spreads every bit over all 64 (the finalizer of SplitMix64)."""
    values = values + _ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
