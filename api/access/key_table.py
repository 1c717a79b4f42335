"""Every valid key in memory, by its hash: keys are told from made-up ones without asking the database.

However many made-up keys come, the database is asked ten times a second at most whether there are new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock

from anyio import CapacityLimiter, to_thread

from api.access.key_records import KeyRecords
from api.access.principal import Principal
from api.query.executor import DATABASE_TIMEOUT_SECONDS, database_timeout, retrieve_exception
from rollups.clickhouse import ClickHouse

KNOWN_SECONDS = 10.0  # that a key works which another process has revoked
UNKNOWN_SECONDS = 0.1  # that who has an unknown key may wait: another process may just have made it
_RENEWED_AFTER = KNOWN_SECONDS / 2  # in the background, so that nobody waits


@dataclass(frozen=True, slots=True)
class _Loaded:
    principals: Mapping[str, Principal]
    content: int | None
    at: float


class KeyTable:
    """For one event loop and any threads. It has a connection and a thread of its own: what is asked for data may take
    all others, and who asks for keys takes none of those."""

    def __init__(self, db: ClickHouse, clock: Callable[[], float]) -> None:
        self._db = db
        self._records = KeyRecords(db if db.embedded else db.separate_connection(DATABASE_TIMEOUT_SECONDS))
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._one_at_a_time = Lock()
        self._threads = CapacityLimiter(1)
        self._renewing: asyncio.Task[None] | None = None

    async def resolve(self, digest: str) -> Principal | None:
        """Who the key with this hash stands for, None if there is no such key or it has ended.

        Raises ClickHouseUnavailable if only ClickHouse could tell and it is away.
        """
        loaded, now = self._loaded, self._clock()
        # A clock that was set back makes everything old, so that no revoked key lives on by it.
        age = now - loaded.at if loaded and loaded.at <= now else KNOWN_SECONDS
        known = loaded is not None and digest in loaded.principals
        stale = age >= KNOWN_SECONDS or not known
        if not known and age < UNKNOWN_SECONDS:
            await asyncio.sleep(UNKNOWN_SECONDS - age)
            stale = self._began_before(now)
        elif not stale and age >= _RENEWED_AFTER:
            self._renewal()
        if stale:
            async with database_timeout(self._db, "look up a key"):
                await asyncio.shield(self._renewal())
                if not known and self._began_before(now):  # it was under way already
                    await asyncio.shield(self._renewal())
        return self.find(digest)

    def _began_before(self, moment: float) -> bool:
        return self._loaded is None or self._loaded.at < moment

    def find(self, digest: str) -> Principal | None:
        """`resolve` by what is in memory, however old."""
        principal = self._loaded.principals.get(digest) if self._loaded else None
        return None if principal is None or principal.expired(self._clock()) else principal

    def knows(self, digest: str, after: float = 0.0) -> bool:
        """Whether the key, by what is in memory, was not revoked and does not expire by then."""
        principal = self._loaded.principals.get(digest) if self._loaded else None
        return principal is not None and not principal.expired(after)

    def renew(self) -> None:
        """Reads what has changed since the last time; what was written before is read. Blocks on ClickHouse."""
        with self._one_at_a_time:
            at = self._clock()  # before the look: an answer is as old as the question
            content = self._records.content()
            if self._loaded and content is not None and content == self._loaded.content:
                self._loaded = replace(self._loaded, at=at)
            else:
                self._loaded = _Loaded(self._records.principals(), content, at)

    def _renewal(self) -> asyncio.Task[None]:
        """The renewal under way, one for all who wait."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(to_thread.run_sync(self.renew, limiter=self._threads))
            self._renewing.add_done_callback(retrieve_exception)
        return self._renewing
