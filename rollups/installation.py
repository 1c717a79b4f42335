"""What belongs to one database for good: the key for hashes of event ids, and a hash of the visitor secret."""

from __future__ import annotations

import hashlib
import logging
import secrets

from rollups.clickhouse import ClickHouse, ClickHouseError

log = logging.getLogger(__name__)

EVENT_ID_KEY, VISITOR_SECRET = "event_id_key", "visitor_secret"
_KEY_BYTES = 16


def new_key() -> str:
    return secrets.token_hex(_KEY_BYTES)


def ensure_event_id_key(db: ClickHouse) -> None:
    """Creates the key if there is none. Of two created at once the earlier is used. Blocks."""
    if not _values(db, EVENT_ID_KEY):
        db.insert("installation", [(EVENT_ID_KEY, new_key())], ["name", "value"])


def event_id_key(db: ClickHouse) -> bytes:
    """Raises ClickHouseError if the database has none. Blocks."""
    values = _values(db, EVENT_ID_KEY)
    if not values:
        raise ClickHouseError("the database has no key for event ids: run `clickmill migrate`")
    return bytes.fromhex(values[0])


def note_visitor_secret(db: ClickHouse, visitor_secret: str, key: bytes) -> None:
    """Logs a warning if users were last counted under another secret. Blocks for 50 ms.

    The database keeps a slow hash of the secret only, salted with its own key.
    """
    digest = hashlib.scrypt(visitor_secret.encode(), salt=key, n=2**14, r=8, p=1, dklen=16).hex()
    seen = _values(db, VISITOR_SECRET)
    if seen[-1:] == [digest]:
        return
    db.insert("installation", [(VISITOR_SECRET, digest)], ["name", "value"])
    if seen:
        log.warning(
            "CLICKMILL_VISITOR_SECRET is not the one that users were last counted under: those who click again in an "
            "hour that is open count as other users. Event ids stay known. If that was not meant, set the old one in "
            "every collector, producer and worker"
        )


def _values(db: ClickHouse, name: str) -> list[str]:
    """Values of this name, oldest first."""
    sql = "SELECT value FROM installation WHERE name = {name:String} ORDER BY created_at, value"
    return [str(value) for (value,) in db.query(sql, {"name": name})]
