"""Validation of clicks; each fault has a name."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit

from ingest.event.click import Click, encode

MAX_EVENT_ID = 64
MAX_VISITOR_ID = 128
MAX_DOMAIN = 300  # as given and in normal form; a host has 253 characters at most
MAX_LINK_ID = 1024
MAX_ID = 2**63 - 1
_MAX_LENGTHS = {"event_id": MAX_EVENT_ID, "visitor_id": MAX_VISITOR_ID, "domain": MAX_DOMAIN, "link_id": MAX_LINK_ID}
MAX_EVENT_BYTES = 256 * 1024  # of one click as JSON
_CHARACTERS_THAT_FIT = 40_000  # each takes 6 bytes at most
LATEST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write


class Fault(StrEnum):
    """Why a value is no click: the complete list behind the reason `invalid`."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_EVENT = "not_an_event"
    WRONG_TYPE = "wrong_type"
    TIME_MISSING = "time_missing"
    TIME_INVALID = "time_invalid"
    SUBJECT_MISSING = "subject_missing"
    LINK_INCOMPLETE = "link_incomplete"
    AFFILIATE_INCOMPLETE = "affiliate_incomplete"
    ID_OUT_OF_RANGE = "id_out_of_range"
    DOMAIN_INVALID = "domain_invalid"
    TEXT_TOO_LONG = "text_too_long"
    UNDECODABLE = "undecodable"  # the transformation failed, through a bug of ours


def validate_and_normalize(click: Click) -> tuple[Fault, str] | None:
    """The fault of a decoded click and a message, or None. Replaces `domain` by its normal form.

    A valid click passes again, so the worker accepts what the collector accepted.
    """
    problem = _check_time(click.clicked_at) or _check_texts(click)
    if problem:
        return problem
    link = (click.account_id, click.domain, click.link_id)
    affiliate = (click.publisher_id, click.advertiser_id, click.network_id)
    has_link, has_affiliate = _has_all(link), _has_all(affiliate)
    if has_link is None:
        return Fault.LINK_INCOMPLETE, "account_id, domain and link_id belong together: give all three or none"
    if has_affiliate is None:
        return (
            Fault.AFFILIATE_INCOMPLETE,
            "publisher_id, advertiser_id and network_id belong together: give all three or none",
        )
    if not has_link and not has_affiliate:
        return Fault.SUBJECT_MISSING, "name a short link, an affiliate placement, or both"
    for value in (click.account_id, *affiliate):
        if value is not None and not 1 <= value <= MAX_ID:
            return Fault.ID_OUT_OF_RANGE, f"{value} is not an id: ids are integers from 1 to {MAX_ID}"
    if click.domain is not None:
        domain = _normal(click.domain)
        if domain is None:
            return Fault.DOMAIN_INVALID, f"{click.domain!r} is not a domain, with or without a scheme"
        if len(domain) > MAX_DOMAIN:
            return _too_long("domain with its scheme", len(domain), MAX_DOMAIN)
        click.domain = domain
    return None


def _check_time(at: int | datetime) -> tuple[Fault, str] | None:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            return Fault.TIME_INVALID, "clicked_at has no offset: add Z or +hh:mm"
        ms: float = at.timestamp() * 1000
    else:
        ms = at
    if not 0 <= ms <= LATEST_MS:
        return Fault.TIME_INVALID, "clicked_at is not between 1970 and 9999"
    return None


def _check_texts(click: Click) -> tuple[Fault, str] | None:
    for name, most in _MAX_LENGTHS.items():
        value = getattr(click, name)
        if value is not None and len(value) > most:
            return _too_long(name, len(value), most)
    return None


def _too_long(name: str, size: int, most: int) -> tuple[Fault, str]:
    return Fault.TEXT_TOO_LONG, f"{name} has {size} characters, at most {most} are allowed"


def validate_size(click: Click) -> tuple[Fault, str] | None:
    """The fault of a valid click that is too large to publish, or None. Unknown fields are not published."""
    characters = len(click.user_agent or "") + len(click.referrer or "") + len(click.ip or "")
    characters += len(click.country or "") + len(click.method or "") + len(click.purpose or "")
    if characters <= _CHARACTERS_THAT_FIT:
        return None
    if (size := len(encode(click))) <= MAX_EVENT_BYTES:
        return None
    return Fault.TOO_LARGE, f"the event has {size} bytes as JSON, at most {MAX_EVENT_BYTES} are allowed"


def _has_all(group: tuple[object | None, ...]) -> bool | None:
    """True if all members are given, False if none is, None otherwise; an empty string counts as missing."""
    missing = group.count(None) + group.count("")
    return True if not missing else False if missing == len(group) else None


def normal_domain(domain: str) -> str | None:
    """`VVD.bz/` → `https://vvd.bz`: scheme added, lower case, no trailing slash. None if it names no host, or if either
    form is too long."""
    normal = _normal(domain) if len(domain) <= MAX_DOMAIN else None
    return normal if normal and len(normal) <= MAX_DOMAIN else None


@lru_cache(maxsize=8192)  # at most 20 MB, since lengths are checked before
def _normal(domain: str) -> str | None:
    text = domain.strip().lower()
    text = (text if "://" in text else f"https://{text}").rstrip("/")
    try:
        host = urlsplit(text).hostname
    except ValueError:
        return None
    return text if host and text.isprintable() and " " not in text else None
