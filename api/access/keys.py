"""API keys: resolved from memory to the caller behind them; created, rotated and revoked in the database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock

from anyio import CapacityLimiter, to_thread

from api.access.key_records import KeyRecord, KeyRecords, Principal, Role
from api.query.executor import DATABASE_TIMEOUT_SECONDS, database_timeout, retrieve_exception
from api.settings import Settings
from rollups.clickhouse import ClickHouse, ClickHouseError, ClickHouseUnavailable

log = logging.getLogger(__name__)

KNOWN_SECONDS = 10.0  # after which a key revoked by another process stops working
UNKNOWN_SECONDS = 0.1  # that the caller with an unknown key may wait: another process may just have created it
USES_SECONDS = 60.0  # between two writes of last uses
_REFRESH_SECONDS = KNOWN_SECONDS / 2  # in the background, so that no caller waits

_KEY = re.compile(r"cm_[A-Za-z0-9_-]{43}")  # 256 random bits
_SETTINGS_KEY_ID = "settings"
READ_BACK_TRIES, READ_BACK_PAUSE = 10, 0.2  # a replica may lag behind the one that took the write


class KeyRing:
    """Resolves keys, for one event loop; creates and ends them, from any thread.

    A key has 256 random bits, so plain SHA-256 is safe: a slow hash protects guessable secrets, and the time of a
    look-up by hash reveals nothing about a key.
    """

    def __init__(self, db: ClickHouse, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._admin = hash_key(settings.admin_key) if settings.admin_key else None
        self._longest = max(len(settings.admin_key), 64)
        self._records = KeyRecords(db)
        self._cache = KeyCache(db, clock)
        self.uses = KeyUses(db, clock)

    async def resolve(self, key: str | None) -> Principal | None:
        """The caller behind the key; None if it is missing, malformed, unknown, expired or revoked. Notes the use.

        Raises ClickHouseUnavailable if the cache cannot tell and the database is away.
        """
        if not key or len(key) > self._longest:
            return None
        digest = hash_key(key)
        if self._admin and hmac.compare_digest(digest, self._admin):
            return Principal(_SETTINGS_KEY_ID, "admin")
        principal = await self._cache.resolve(digest) if _KEY.fullmatch(key) else None
        if principal and self.uses.note(principal.key_id):
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
        """A new key, valid at once in this process. Its text is returned here and is not stored. Blocks."""
        key, now = f"cm_{secrets.token_urlsafe(32)}", int(self._clock())
        record = KeyRecord(
            id=secrets.token_hex(8),
            role=role,
            publisher_id=publisher_id,
            account_id=account_id,
            name=name,
            created_at=now,
            expires_at=expires_at,
            requests_per_hour=requests_per_hour,
        )
        digest = hash_key(key)
        self._records.add(record, digest)
        self._read_back(lambda: self._cache.knows(digest))
        return record, key

    def records(self) -> list[KeyRecord]:
        """All keys, oldest first, revoked ones included. Blocks."""
        return self._records.all()

    def revoke(self, key_id: str) -> bool:
        """Ends a key: at once here, within `KNOWN_SECONDS` elsewhere. False if there is no such key. Blocks."""
        found = self._records.find(key_id)
        if found is None:
            return False
        record, digest = found
        if record.revoked_at is None:
            self._records.end(key_id, revoked_at=int(self._clock()))
        self._read_back(lambda: not self._cache.knows(digest))
        return True

    def rotate(self, key_id: str, overlap: int) -> tuple[KeyRecord, str] | None:
        """A new key for the same caller and lifetime; the old one ends after `overlap` seconds, or as planned before.

        None if there is no such key, or it has ended. Blocks.
        """
        found, now = self._records.find(key_id), int(self._clock())
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
        if overlap:
            self._records.end(key_id, expires_at=now + overlap)
            self._read_back(lambda: not self._cache.knows(digest, after=now + overlap))
        else:  # an expiry of now would lie in the future of a clock that is behind
            self._records.end(key_id, revoked_at=now)
            self._read_back(lambda: not self._cache.knows(digest))
        return new

    def _read_back(self, shown: Callable[[], bool]) -> None:
        """Waits until the database shows what was written. Raises ClickHouseUnavailable if it does not."""
        for attempt in range(READ_BACK_TRIES):
            self._cache.refresh()
            if shown():
                return
            if attempt + 1 < READ_BACK_TRIES:
                time.sleep(READ_BACK_PAUSE)
        raise ClickHouseUnavailable("ClickHouse does not show the change of a key that it has taken")


@dataclass(frozen=True, slots=True)
class _Loaded:
    principals: Mapping[str, Principal]
    checksum: int | None
    at: float


class KeyCache:
    """All valid keys by hash. Unknown keys query the database ten times a second at most, however many come.

    For one event loop and any threads. It has its own connection and thread: data queries may occupy all others.
    """

    def __init__(self, db: ClickHouse, clock: Callable[[], float]) -> None:
        self._db = db
        self._records = KeyRecords(db if db.embedded else db.separate_connection(DATABASE_TIMEOUT_SECONDS))
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._lock = Lock()
        self._threads = CapacityLimiter(1)
        self._refreshing: asyncio.Task[None] | None = None

    async def resolve(self, digest: str) -> Principal | None:
        """The caller behind the key with this hash, None if it is unknown or has ended.

        Raises ClickHouseUnavailable if the cache cannot tell and the database is away.
        """
        loaded, now = self._loaded, self._clock()
        # A clock that was set back makes the cache old, so that no revoked key works longer for it.
        age = now - loaded.at if loaded and loaded.at <= now else KNOWN_SECONDS
        known = loaded is not None and digest in loaded.principals
        stale = age >= KNOWN_SECONDS or not known
        if not known and age < UNKNOWN_SECONDS:
            await asyncio.sleep(UNKNOWN_SECONDS - age)
            stale = self._loaded_before(now)
        elif not stale and age >= _REFRESH_SECONDS:
            self._start_refresh()
        if stale:
            async with database_timeout(self._db, "look up a key"):
                await asyncio.shield(self._start_refresh())
                if not known and self._loaded_before(now):  # the one under way had begun earlier
                    await asyncio.shield(self._start_refresh())
        return self.find(digest)

    def _loaded_before(self, moment: float) -> bool:
        return self._loaded is None or self._loaded.at < moment

    def find(self, digest: str) -> Principal | None:
        """`resolve` from memory alone, however old."""
        principal = self._loaded.principals.get(digest) if self._loaded else None
        return None if principal is None or _expired(principal, self._clock()) else principal

    def knows(self, digest: str, after: float = 0.0) -> bool:
        """Whether the key is in memory and does not expire until `after`."""
        principal = self._loaded.principals.get(digest) if self._loaded else None
        return principal is not None and not _expired(principal, after)

    def refresh(self) -> None:
        """Reads the keys again if they have changed. Blocks."""
        with self._lock:
            at = self._clock()  # before the query, which may miss what is written during it
            checksum = self._records.checksum()
            if self._loaded and checksum is not None and checksum == self._loaded.checksum:
                self._loaded = replace(self._loaded, at=at)
            else:
                self._loaded = _Loaded(self._records.principals(), checksum, at)

    def _start_refresh(self) -> asyncio.Task[None]:
        """The refresh under way, shared by all waiters."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(to_thread.run_sync(self.refresh, limiter=self._threads))
            self._refreshing.add_done_callback(retrieve_exception)
        return self._refreshing


class KeyUses:
    """When each key was last used: noted in memory, written in batches. Thread-safe.

    A process that is killed loses the uses of its last minute.
    """

    def __init__(self, db: ClickHouse, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._noted: dict[str, int] = {}
        self._written_at = clock()
        self._lock = Lock()

    def note(self, key_id: str) -> bool:
        """Notes a use. True if a `write` is due; only the first caller is told."""
        now = self._clock()
        with self._lock:
            self._noted[key_id] = int(now)
            due = not 0 <= now - self._written_at < USES_SECONDS
            if due:
                self._written_at = now
        return due

    def write(self) -> None:
        """Writes the uses since the last time, and keeps them on an error. Blocks."""
        with self._lock:
            noted, self._noted = self._noted, {}
        try:
            if noted:
                self._db.insert("key_uses", list(noted.items()), ["id", "used_at"])
        except ClickHouseError as error:
            log.warning("the last uses of %d keys could not be written: %s", len(noted), error)
            with self._lock:
                self._noted = {**noted, **self._noted}

    def read(self) -> dict[str, int]:
        """Seconds since 1970 by key id, including those of this process that are not written yet. Blocks."""
        rows = self._db.query("SELECT id, toUnixTimestamp(max(used_at)) FROM key_uses GROUP BY id")
        with self._lock:
            return {**dict(rows), **self._noted}


def _expired(principal: Principal, now: float) -> bool:
    return principal.expires_at is not None and principal.expires_at <= now


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
