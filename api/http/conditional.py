"""Responses with a validator, and 304 where the client has them already (RFC 9110, 9111)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Any

import msgspec
from fastapi import Request, Response

from api.dates import iso_utc

CLOSED_MAX_AGE = 60
# A response is for one credential only, so no shared cache stores it. `Accept` chooses the format of a listing.
VARY = "Accept, X-Api-Key, Authorization"


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """A body, of JSON unless it says otherwise, and its validator."""

    content: bytes
    etag: str
    media_type: str = "application/json"

    @classmethod
    def of(cls, value: Any) -> ResponseBody:
        content = msgspec.json.encode(value)
        return cls(content, strong_etag(content))

    @property
    def size(self) -> int:
        return len(self.content)


def day_has_ended(day: date, zone: tzinfo, now: datetime | None = None) -> bool:
    """Whether the day has ended in that zone."""
    return (now or datetime.now(UTC)).astimezone(zone).date() - day >= timedelta(days=1)


def as_of_header(as_of: float | None) -> dict[str, str]:
    """`X-Data-As-Of` of the time, in seconds since 1970, up to which every click is counted; none if it is unknown."""
    return {} if as_of is None else {"X-Data-As-Of": iso_utc(as_of)}


def conditional_response(request: Request, body: ResponseBody, as_of: float | None, *, closed: bool) -> Response:
    """The body, or 304 if `If-None-Match` names its validator. `closed`: its days have ended, so few clicks follow."""
    headers = {
        **as_of_header(as_of),
        "ETag": body.etag,
        "Cache-Control": f"private, max-age={CLOSED_MAX_AGE}" if closed else "private, no-cache",
        "Vary": VARY,
    }
    if _names(request.headers.getlist("if-none-match"), body.etag):
        return Response(status_code=304, headers=headers)
    return Response(body.content, headers={**headers, "Content-Type": body.media_type})


def strong_etag(content: bytes) -> str:
    return f'"{blake2b(content, digest_size=12).hexdigest()}"'


def _names(if_none_match: list[str], etag: str) -> bool:
    """Weak comparison (RFC 9110, 13.1.2). Our validators hold no comma, so splitting at commas is enough."""
    named = [name.strip() for line in if_none_match for name in line.split(",")]
    return "*" in named or any(name.removeprefix("W/") == etag.removeprefix("W/") for name in named)
