"""API keys: who a key stands for, how keys are made and revoked, and a short memory of both answers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any, Literal

from anyio import to_thread

from api.key_uses import KeyUses
from api.pulse import patience
from ingest.settings import Settings
from rollups.store import Row, Store

Role = Literal["admin", "publisher", "account", "ingest"]

KNOWN_SECONDS = 10.0
UNKNOWN_SECONDS = 2.0
MEMORY = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a key stands for. Only a publisher has a `publisher_id`, only an account an `account_id`."""

    key_id: str
    role: Role
    publisher_id: int | None = None
    account_id: int | None = None
    expires_at: int | None = None  # seconds since 1970
    requests_per_hour: int | None = None  # None: as the settings say

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key, which is never the key itself. Times are seconds since 1970."""

    id: str
    role: Role
    publisher_id: int | None
    account_id: int | None
    name: str
    created_at: int
    expires_at: int | None
    requests_per_hour: int | None = None
    revoked_at: int | None = None


class _Memory:
    """Bounded answers by key hash, each good for a while; unknown keys cannot push known ones out."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: OrderedDict[str, tuple[Principal | None, float]] = OrderedDict()

    def recall(self, digest: str, now: float) -> tuple[Principal | None] | None:
        principal, since = self._answers.get(digest, (None, None))
        # A clock that was set back makes every answer old, so that no revoked key lives on by it.
        return (principal,) if since is not None and 0 <= now - since < self._seconds else None

    def keep(self, digest: str, principal: Principal | None, now: float) -> None:
        self._answers[digest] = (principal, now)
        self._answers.move_to_end(digest)
        if len(self._answers) > MEMORY:
            self._answers.popitem(last=False)

    def forget(self, key_id: str) -> None:
        for digest in [d for d, (p, _) in self._answers.items() if p and p.key_id == key_id]:
            del self._answers[digest]


class KeyRing:
    """Resolves, makes and revokes keys. Thread-safe.

    A key is 256 random bits, so a plain SHA-256 keeps it safe: there is nothing to guess that a slow hash would
    protect, and how long a look-up by hash takes tells nothing of the key. Answers are remembered, known keys for
    `KNOWN_SECONDS` and unknown ones for `UNKNOWN_SECONDS`: a key revoked by another process works no longer than that.
    """

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._admin = hash_key(settings.admin_key) if settings.admin_key else None
        self._known = _Memory(KNOWN_SECONDS)
        self._unknown = _Memory(UNKNOWN_SECONDS)
        self._lock = Lock()
        self.uses = KeyUses(store, clock)

    def resolve(self, key: str | None) -> Principal | None:
        """Who the key stands for; None if it is missing, unknown, expired or revoked. May block on the store.

        Raises StoreUnavailable if only the store could tell and it is away.
        """
        if not key:
            return None
        digest = hash_key(key)
        if remembered := self._recall(digest):
            return remembered[0]
        now = self._clock()  # before the look-up: an answer is as old as the question
        principal = self._look_up(digest)
        with self._lock:
            (self._known if principal else self._unknown).keep(digest, principal, now)
        return None if principal is None or principal.expired(self._clock()) else principal

    async def resolve_async(self, key: str | None) -> Principal | None:
        """`resolve` for the event loop, and the note that the key was used: what must be looked up is, in a thread."""
        if key and (remembered := self._recall(hash_key(key))):
            principal = remembered[0]
        else:
            async with patience(self._store, "look up a key"):
                principal = await to_thread.run_sync(self.resolve, key)
        if principal and principal.key_id != _OF_THE_SETTINGS and self.uses.note(principal.key_id):
            asyncio.get_running_loop().run_in_executor(None, self.uses.write)
        return principal

    def create(
        self,
        role: Role,
        *,
        publisher_id: int | None = None,
        account_id: int | None = None,
        name: str = "",
        expires_at: int | None = None,
        requests_per_hour: int | None = None,
    ) -> tuple[KeyRecord, str]:
        """A new key, valid at once in this process; its text is returned here and never again."""
        key = f"cm_{secrets.token_urlsafe(32)}"
        now = int(self._clock())
        record = KeyRecord(
            secrets.token_hex(8), role, publisher_id, account_id, name, now, expires_at, requests_per_hour
        )
        self._write(record, hash_key(key))
        return record, key

    def records(self) -> list[KeyRecord]:
        """Every key ever made, revoked ones included, oldest first."""
        rows = self._store.query(f"SELECT {_COLUMNS} FROM api_keys FINAL ORDER BY created_at, id")
        return [KeyRecord(*row) for row in rows]

    def revoke(self, key_id: str) -> bool:
        """Ends a key: at once here, within `KNOWN_SECONDS` elsewhere. False if there is no such key."""
        found = self._find(key_id)
        if found is None:
            return False
        record, digest = found
        if record.revoked_at is None:
            self._write(replace(record, revoked_at=int(self._clock())), digest)
        self._forget(key_id)
        return True

    def rotate(self, key_id: str, overlap: int) -> tuple[KeyRecord, str] | None:
        """A new key for what the old one was for; the old one lives on for `overlap` seconds, if it would have.

        The new one is made for as long as the old one was. None if there is no such key, or it has ended.
        """
        found, now = self._find(key_id), int(self._clock())
        if found is None:
            return None
        old, digest = found
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
            return None
        new = self.create(
            old.role,
            publisher_id=old.publisher_id,
            account_id=old.account_id,
            name=old.name,
            expires_at=None if old.expires_at is None else now + old.expires_at - old.created_at,
            requests_per_hour=old.requests_per_hour,
        )
        ends = min(now + overlap, old.expires_at or now + overlap)
        self._write(replace(old, expires_at=ends), digest)
        self._forget(key_id)
        return new

    def _find(self, key_id: str) -> tuple[KeyRecord, str] | None:
        rows = self._store.query(
            f"SELECT {_COLUMNS}, toString(hash) FROM api_keys FINAL WHERE id = {{id:String}}", {"id": key_id}
        )
        return (KeyRecord(*rows[0][:-1]), rows[0][-1]) if rows else None

    def _forget(self, key_id: str) -> None:
        with self._lock:
            self._known.forget(key_id)

    def _recall(self, digest: str) -> tuple[Principal | None] | None:
        """What is known without the store, in a tuple of one; None if nothing is."""
        if self._admin and hmac.compare_digest(digest, self._admin):
            return (Principal(_OF_THE_SETTINGS, "admin"),)
        now = self._clock()
        with self._lock:
            remembered = self._known.recall(digest, now) or self._unknown.recall(digest, now)
        if remembered and remembered[0] and remembered[0].expired(now):
            return (None,)
        return remembered

    def _look_up(self, digest: str) -> Principal | None:
        rows = self._store.query(
            "SELECT id, role, publisher_id, account_id, toUnixTimestamp(expires_at), requests_per_hour "
            "FROM api_keys FINAL WHERE hash = {digest:String} AND revoked_at IS NULL",
            {"digest": digest},
        )
        return Principal(*rows[0]) if rows else None

    def _write(self, record: KeyRecord, digest: str) -> None:
        values: dict[str, Any] = {**asdict(record), "hash": digest.encode()}
        row: Row = tuple(values.values())
        self._store.insert("api_keys", [row], list(values))


_OF_THE_SETTINGS = "settings"  # the id of the key that is in no table
_COLUMNS = (
    "id, role, publisher_id, account_id, name, toUnixTimestamp(created_at), "
    "toUnixTimestamp(expires_at), requests_per_hour, toUnixTimestamp(revoked_at)"
)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
