"""API keys: who a key stands for, how keys are made and revoked, and a short memory of both answers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any, Literal

from anyio import to_thread

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

    A key is 256 random bits, so a plain SHA-256 keeps it safe: there is nothing to guess that a slow hash
    would protect. Answers are remembered, known keys for `KNOWN_SECONDS` and unknown ones for
    `UNKNOWN_SECONDS`: a key revoked by another process works no longer than that.
    """

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._admin = hash_key(settings.admin_key) if settings.admin_key else None
        self._known = _Memory(KNOWN_SECONDS)
        self._unknown = _Memory(UNKNOWN_SECONDS)
        self._lock = Lock()

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
        """`resolve` for the event loop: what is not remembered is looked up in a thread."""
        if key and (remembered := self._recall(hash_key(key))):
            return remembered[0]
        return await to_thread.run_sync(self.resolve, key)

    def create(
        self,
        role: Role,
        *,
        publisher_id: int | None = None,
        account_id: int | None = None,
        name: str = "",
        expires_at: int | None = None,
    ) -> tuple[KeyRecord, str]:
        """A new key, valid at once in this process; its text is returned here and never again."""
        key = f"cm_{secrets.token_urlsafe(32)}"
        now = int(self._clock())
        record = KeyRecord(secrets.token_hex(8), role, publisher_id, account_id, name, now, expires_at)
        self._write(record, hash_key(key))
        return record, key

    def records(self) -> list[KeyRecord]:
        """Every key ever made, revoked ones included, oldest first."""
        rows = self._store.query(f"SELECT {_COLUMNS} FROM api_keys FINAL ORDER BY created_at, id")
        return [KeyRecord(*row) for row in rows]

    def revoke(self, key_id: str) -> bool:
        """Ends a key: at once here, within `KNOWN_SECONDS` elsewhere. False if there is no such key."""
        rows = self._store.query(
            f"SELECT {_COLUMNS}, toString(hash) FROM api_keys FINAL WHERE id = {{id:String}}", {"id": key_id}
        )
        if not rows:
            return False
        *values, digest = rows[0]
        record = KeyRecord(*values)
        if record.revoked_at is None:
            ended = KeyRecord(**{**asdict(record), "revoked_at": int(self._clock())})
            self._write(ended, digest)
        with self._lock:
            self._known.forget(key_id)
        return True

    def _recall(self, digest: str) -> tuple[Principal | None] | None:
        """What is known without the store, in a tuple of one; None if nothing is."""
        if self._admin and hmac.compare_digest(digest, self._admin):
            return (Principal("settings", "admin"),)
        now = self._clock()
        with self._lock:
            remembered = self._known.recall(digest, now) or self._unknown.recall(digest, now)
        if remembered and remembered[0] and remembered[0].expired(now):
            return (None,)
        return remembered

    def _look_up(self, digest: str) -> Principal | None:
        rows = self._store.query(
            "SELECT id, role, publisher_id, account_id, toUnixTimestamp(expires_at) FROM api_keys FINAL "
            "WHERE hash = {digest:String} AND revoked_at IS NULL",
            {"digest": digest},
        )
        return Principal(*rows[0]) if rows else None

    def _write(self, record: KeyRecord, digest: str) -> None:
        values: dict[str, Any] = {**asdict(record), "hash": digest.encode()}
        row: Row = tuple(values.values())
        self._store.insert("api_keys", [row], list(values))


_COLUMNS = (
    "id, role, publisher_id, account_id, name, toUnixTimestamp(created_at), "
    "toUnixTimestamp(expires_at), toUnixTimestamp(revoked_at)"
)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
