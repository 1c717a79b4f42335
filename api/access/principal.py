"""Who a key stands for, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["admin", "publisher", "account", "ingest"]


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

    @property
    def principal(self) -> Principal:
        return Principal(
            self.id, self.role, self.publisher_id, self.account_id, self.expires_at, self.requests_per_hour
        )
