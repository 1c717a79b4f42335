"""API keys: who a key stands for, and how keys are made, rotated and revoked."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable

from api.access.key_records import KeyRecords
from api.access.key_table import KeyTable
from api.access.key_uses import KeyUses
from api.access.principal import KeyRecord, Principal, Role
from api.settings import Settings
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable

_KEY = re.compile(r"cm_[A-Za-z0-9_-]{43}")  # 256 random bits
_OF_THE_SETTINGS = "settings"  # the id of the key that is in no table
_KEPT_TRIES, _KEPT_PAUSE = 10, 0.2  # another replica than the one that was written to may answer


class KeyRing:
    """Resolves keys, for one event loop; makes and ends them, from any thread.

    A key is 256 random bits, so a plain SHA-256 keeps it safe: there is nothing to guess that a slow hash would
    protect, and how long it takes to find a hash tells nothing of the key.
    """

    def __init__(self, db: ClickHouse, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._admin = hash_key(settings.admin_key) if settings.admin_key else None
        self._longest = max(len(settings.admin_key), 64)
        self._records = KeyRecords(db)
        self._table = KeyTable(db, clock)
        self.uses = KeyUses(db, clock)

    async def resolve(self, key: str | None) -> Principal | None:
        """Who the key stands for; None if it is missing, unknown, expired or revoked. The use of a key is noted.

        What cannot be a key is not looked for. Raises ClickHouseUnavailable if an unknown key cannot be looked up.
        """
        if not key or len(key) > self._longest:
            return None
        digest = hash_key(key)
        if self._admin and hmac.compare_digest(digest, self._admin):
            return Principal(_OF_THE_SETTINGS, "admin")
        principal = await self._table.resolve(digest) if _KEY.fullmatch(key) else None
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
        """A new key, valid at once in this process; its text is returned here and never again."""
        key, now = f"cm_{secrets.token_urlsafe(32)}", int(self._clock())
        record = KeyRecord(
            secrets.token_hex(8), role, publisher_id, account_id, name, now, expires_at, requests_per_hour
        )
        digest = hash_key(key)
        self._records.add(record, digest)
        self._read_back(lambda: self._table.knows(digest))
        return record, key

    def records(self) -> list[KeyRecord]:
        """Every key ever made, revoked ones included, oldest first."""
        return self._records.all()

    def revoke(self, key_id: str) -> bool:
        """Ends a key: at once here, within `KNOWN_SECONDS` elsewhere. False if there is no such key."""
        found = self._records.find(key_id)
        if found is None:
            return False
        record, digest = found
        if record.revoked_at is None:
            self._records.end(key_id, revoked_at=int(self._clock()))
        self._read_back(lambda: not self._table.knows(digest))
        return True

    def rotate(self, key_id: str, overlap: int) -> tuple[KeyRecord, str] | None:
        """A new key for what the old one was for; the old one lives on for `overlap` seconds, if it would have.

        The new one is made for as long as the old one was. None if there is no such key, or it has ended.
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
            self._read_back(lambda: not self._table.knows(digest, after=now + overlap))
        else:  # now is a moment that other clocks may not have reached
            self._records.end(key_id, revoked_at=now)
            self._read_back(lambda: not self._table.knows(digest))
        return new

    def _read_back(self, kept: Callable[[], bool]) -> None:
        """Raises ClickHouseUnavailable if the database does not answer as it must after what was written to it."""
        for attempt in range(_KEPT_TRIES):
            self._table.renew()
            if kept():
                return
            if attempt + 1 < _KEPT_TRIES:
                time.sleep(_KEPT_PAUSE)
        raise ClickHouseUnavailable("ClickHouse does not show the change of a key that it has taken")


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
