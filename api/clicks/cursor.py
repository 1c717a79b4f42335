"""Signed places in the listing of clicks. To callers a cursor is 64 characters that mean nothing.

A cursor is good for the scope and range that it was made in and for nothing else: its signature covers them. It
carries no authority, so it need not expire. Its key is derived from the admin key of the settings, which every API
process has and which survives restarts; scrypt, so that a cursor is no shortcut to guessing a weak admin key.
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
_SIGNATURE_BYTES = 18  # with these a cursor is a multiple of 3 bytes, of which base64 has one spelling only
_CURSOR = re.compile(r"[A-Za-z0-9_-]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Behind the row of that identity, where page number `page` of the walk begins."""

    day: date
    advertiser_id: int
    publisher_id: int
    network_id: int
    page: int


# Before every row, since ids begin at 1.
START_POSITION = Position(day=LAST_DAY, advertiser_id=0, publisher_id=0, network_id=0, page=1)


class Cursors:
    """Writes and reads cursors. `listing` is the text of everything that a cursor is bound to."""

    def __init__(self, admin_key: str) -> None:
        self._key = _signing_key(admin_key)

    def write(self, position: Position, listing: str) -> str:
        day = (position.day - FIRST_DAY).days
        body = _POSITION.pack(day, position.advertiser_id, position.publisher_id, position.network_id, position.page)
        return urlsafe_b64encode(body + self._signature(body, listing)).decode()

    def read(self, cursor: str, listing: str) -> Position | None:
        """The position, None unless the cursor was written here for this listing."""
        if cursor == START_CURSOR:
            return START_POSITION
        if not _CURSOR.fullmatch(cursor):
            return None
        signed = urlsafe_b64decode(cursor)
        body, signature = signed[: _POSITION.size], signed[_POSITION.size :]
        if not hmac.compare_digest(signature, self._signature(body, listing)):
            return None
        day, advertiser_id, publisher_id, network_id, page = _POSITION.unpack(body)
        return Position(
            day=FIRST_DAY + timedelta(days=day),
            advertiser_id=advertiser_id,
            publisher_id=publisher_id,
            network_id=network_id,
            page=page,
        )

    def _signature(self, body: bytes, listing: str) -> bytes:
        return hmac.digest(self._key, body + listing.encode(), "sha256")[:_SIGNATURE_BYTES]


@cache
def _signing_key(admin_key: str) -> bytes:
    """One a process and admin key. Without an admin key, which only tests lack, cursors last as long as the process."""
    if not admin_key:
        return secrets.token_bytes(32)
    return hashlib.scrypt(admin_key.encode(), salt=b"clickmill cursor", n=2**14, r=8, p=1, dklen=32)
