"""Identities of clicks as 64-bit hashes: event ids, users and targets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.event.addresses import AddressHasher
from rollups.clickhouse import ClickHouse
from rollups.compiled.siphash import Hashes, siphash, siphash_rows
from rollups.installation import event_id_key, note_visitor_secret
from rollups.transform.click_columns import ClickColumns, by_value, sizes

_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Identities:
    """Arrays over rows in log order; 0 for none."""

    clicked_ms: NDArray[np.int64]
    ids: Hashes
    users: Hashes
    targets: Hashes  # the link, else the affiliate placement

    def repeat_keys(self, seconds: int) -> Hashes:
        """Keys that are equal for clicks of one user on one target within one slot of click time; never 0."""
        slots = (self.clicked_ms // (seconds * 1000)).astype(np.uint64)
        keys = _mixed(self.users ^ _mixed(self.targets ^ _mixed(slots)))
        keys[keys == 0] = 1
        return keys


class IdentityHasher:
    """Keyed hashes: addresses and visitor ids do not leave the worker, and clients cannot construct collisions.

    Users depend on the visitor secret, event ids only on a key of the database: they outlast a change of the secret.
    """

    def __init__(self, visitor_secret: str, event_id_key: bytes) -> None:
        self._visitor, self._address, self._other = (
            _key(f"{what}\0{visitor_secret}".encode()) for what in ("visitor", "address", "other")
        )
        self._event_id, self._owned_id = (_key(what + event_id_key) for what in (b"event id\0", b"owned id\0"))
        self._addresses = AddressHasher(visitor_secret)

    @classmethod
    def from_database(cls, db: ClickHouse, visitor_secret: str) -> IdentityHasher:
        """A hasher with the database's key for event ids. Logs a warning if the secret has changed. Blocks.

        Raises ClickHouseError if `migrate` has not run.
        """
        key = event_id_key(db)
        note_visitor_secret(db, visitor_secret, key)
        return cls(visitor_secret, key)

    def hash_clicks(self, columns: ClickColumns) -> Identities:
        return Identities(
            clicked_ms=columns.clicked_ms,
            ids=self._ids(columns),
            users=self._users(columns),
            targets=self._targets(columns),
        )

    def _ids(self, columns: ClickColumns) -> Hashes:
        """Hashes of event id and owners: the same id of another owner is another event."""
        ids = _hashes(columns.event_id, self._event_id)
        owners = [columns.account_id.astype(np.uint64), columns.publisher_id.astype(np.uint64)]
        owned = siphash_rows([ids, *owners], self._owned_id)
        owned[owned == 0] = 1
        owned[ids == 0] = 0
        return owned

    def _users(self, columns: ClickColumns) -> Hashes:
        """Hashes of the user as in `ingest.event.click.user_identity`: the visitor id, else address and user agent.

        Plain addresses are first hashed as the collector does, so that a visitor is one user by either way.
        """
        users = _hashes(columns.visitor_id, self._visitor)
        rows = np.flatnonzero(users == 0)
        hashed = by_value(columns.ip.take(rows), self._addresses.hash_address, pa.string())
        ips, agents = (texts.fill_null("").to_pylist() for texts in (hashed, columns.user_agent.take(rows)))
        addresses = pa.array(
            [f"{ip}\0{agent}" if ip or agent else None for ip, agent in zip(ips, agents, strict=True)], pa.string()
        )
        users[rows] = _hashes(addresses, self._address)
        return users

    def _targets(self, columns: ClickColumns) -> Hashes:
        links, domains = _hashes(columns.link_id, self._other), _hashes(columns.domain, self._other)
        accounts, publishers, advertisers, networks = (
            ids.astype(np.uint64)
            for ids in (columns.account_id, columns.publisher_id, columns.advertiser_id, columns.network_id)
        )
        linked = _mixed(links ^ _mixed(domains ^ _mixed(accounts)))
        return np.where(links != 0, linked, _mixed(publishers ^ _mixed(advertisers ^ _mixed(networks))))


def _key(secret: bytes) -> tuple[int, int]:
    digest = hashlib.sha256(secret).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def _hashes(texts: pa.StringArray, key: tuple[int, int]) -> Hashes:
    """Keyed hashes, 0 exactly for null and empty texts."""
    hashes = siphash(texts, key)
    hashes[hashes == 0] = 1
    hashes[sizes(texts) == 0] = 0
    return hashes


def _mixed(values: Hashes) -> Hashes:
    """Mixes the bits of each value (the finalizer of SplitMix64)."""
    values = values + _ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
