"""Answers with a validator, and 304 to who has them already (RFC 9110, 9111)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Any

import msgspec
from fastapi import Request, Response

CLOSED_MAX_AGE = 60
# What a key may see is nobody else's: shared caches keep nothing, private ones tell the credentials apart. `Accept`
# chooses the format of a listing.
VARY = "Accept, X-Api-Key, Authorization"


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A JSON answer and its strong validator."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, answer: Any) -> JsonBody:
        content = msgspec.json.encode(answer)
        return cls(content, f'"{blake2b(content, digest_size=12).hexdigest()}"')

    @property
    def size(self) -> int:
        return len(self.content)


def day_has_ended(day: date, zone: tzinfo, now: datetime | None = None) -> bool:
    """Whether the day has ended in that zone."""
    return (now or datetime.now(UTC)).astimezone(zone).date() - day >= timedelta(days=1)


def conditional_response(request: Request, body: JsonBody, header: Mapping[str, str], *, closed: bool) -> Response:
    """The body, or 304 if the caller names its validator. `closed`: its days are over, so that few clicks follow."""
    headers = {
        **header,
        "ETag": body.etag,
        "Cache-Control": f"private, max-age={CLOSED_MAX_AGE}" if closed else "private, no-cache",
        "Vary": VARY,
    }
    if _names(request.headers.getlist("if-none-match"), body.etag):
        return Response(status_code=304, headers=headers)
    return Response(body.content, headers=headers, media_type="application/json")


def _names(if_none_match: list[str], etag: str) -> bool:
    """Weak comparison, as RFC 9110 wants it here. Our validators hold no comma, so theirs need not be parsed."""
    named = [name.strip() for line in if_none_match for name in line.split(",")]
    return "*" in named or any(name.removeprefix("W/") == etag for name in named)
