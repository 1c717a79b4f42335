"""Cursors: signed positions in the listing of clicks. To clients a cursor is 64 opaque characters.

The signature covers the publisher and the range of days, so a cursor is valid for these only. A cursor grants no
access, so it never expires. The signing key is derived from the admin key, which all API processes share and which
survives restarts. It is derived by scrypt: a cursor must not make it easy to guess a weak admin key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from api.dates import FIRST_DAY, LAST_DAY

START_CURSOR = "start"

_POSITION = struct.Struct(">HQQQI")
_SIGNATURE_BYTES = 18  # makes a cursor 48 bytes: base64 of a multiple of 3 is unambiguous
_CURSOR = re.compile(r"[A-Za-z0-9_-]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The position after the row with this identity, where page number `page` begins."""

    day: date
    advertiser_id: int
    publisher_id: int
    network_id: int
    page: int


# Before every row: ids begin at 1.
START_POSITION = Position(day=LAST_DAY, advertiser_id=0, publisher_id=0, network_id=0, page=1)


class Cursors:
    """Writes and reads cursors. `scope` names what a cursor is valid for, see `cursor_scope`."""

    def __init__(self, admin_key: str) -> None:
        self._key = _signing_key(admin_key)

    def write(self, position: Position, scope: str) -> str:
        day = (position.day - FIRST_DAY).days
        body = _POSITION.pack(day, position.advertiser_id, position.publisher_id, position.network_id, position.page)
        return urlsafe_b64encode(body + self._signature(body, scope)).decode()

    def read(self, cursor: str, scope: str) -> Position | None:
        """The position. None unless the cursor was signed with this key for this scope."""
        if cursor == START_CURSOR:
            return START_POSITION
        if not _CURSOR.fullmatch(cursor):
            return None
        signed = urlsafe_b64decode(cursor)
        body, signature = signed[: _POSITION.size], signed[_POSITION.size :]
        if not hmac.compare_digest(signature, self._signature(body, scope)):
            return None
        day, advertiser_id, publisher_id, network_id, page = _POSITION.unpack(body)
        return Position(
            day=FIRST_DAY + timedelta(days=day),
            advertiser_id=advertiser_id,
            publisher_id=publisher_id,
            network_id=network_id,
            page=page,
        )

    def _signature(self, body: bytes, scope: str) -> bytes:
        return hmac.digest(self._key, body + scope.encode(), "sha256")[:_SIGNATURE_BYTES]


@cache
def _signing_key(admin_key: str) -> bytes:
    """Without an admin key (only in tests) the key is random, and cursors end with the process."""
    if not admin_key:
        return secrets.token_bytes(32)
    return hashlib.scrypt(admin_key.encode(), salt=b"clickmill cursor", n=2**14, r=8, p=1, dklen=32)
