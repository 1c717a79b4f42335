"""The click event: its fields, what makes it valid, and who it is about.

A Kafka record holds one JSON object, or an array of them. Everything that is wrong with a value has a name in
`Fault`, which the collector answers with and the dead-letter topic carries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
import uuid_utils

MAX_EVENT_ID = 64
MAX_VISITOR_ID = 128
MAX_LINK_ID = 1024
MAX_ID = 2**63 - 1
LATEST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write


class Fault(StrEnum):
    """Why a value is not a click; the closed list behind the reason `invalid`."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
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


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that is no click: the fault, a sentence for people, and the bytes it was found in."""

    fault: Fault
    message: str
    raw: bytes | None
    index: int | None = None


class Click(msgspec.Struct, omit_defaults=True, gc=False):
    """One click as a redirect server sends it (UTF-8 JSON). Unknown fields are ignored.

    `clicked_at` is an RFC 3339 time with offset or integer milliseconds since 1970. `account_id`, `domain` and
    `link_id` name a short link, `publisher_id`, `advertiser_id` and `network_id` an affiliate placement: all three
    or none of each, at least one of the two.
    """

    clicked_at: int | datetime
    event_id: str | None = None
    account_id: int | None = None
    domain: str | None = None
    link_id: str | None = None
    publisher_id: int | None = None
    advertiser_id: int | None = None
    network_id: int | None = None
    visitor_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    referrer: str | None = None
    country: str | None = None
    method: str | None = None
    purpose: str | None = None


_one = msgspec.json.Decoder(Click)
_record = msgspec.json.Decoder(Click | list[Click])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()


def encode(click: Click) -> bytes:
    return _encoder.encode(click)


def stamped(click: Click) -> Click:
    """The same click, with a fresh UUIDv7 as its identity if it has none."""
    if click.event_id is None:
        click.event_id = str(uuid_utils.uuid7())
    return click


def clicked_at_ms(click: Click) -> int:
    """Milliseconds since 1970, UTC."""
    at = click.clicked_at
    return at if isinstance(at, int) else round(at.timestamp() * 1000)


def decode_record(value: bytes | None) -> list[Click | Rejected]:
    """The clicks of one Kafka record value, in order; never empty, so that every record is accounted for."""
    if value is None:
        return [Rejected(Fault.TOMBSTONE, "the record has no value (a tombstone)", None)]
    try:
        decoded = _record.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_items(value)
    clicks = decoded if isinstance(decoded, list) else [decoded]
    if not clicks:
        return [Rejected(Fault.NOT_AN_EVENT, "the record is an empty array", value)]
    checked: list[Click | Rejected] = list(clicks)
    for index, click in enumerate(clicks):
        if problem := check(click):
            raw = value if decoded is click else encode(click)
            checked[index] = Rejected(*problem, raw, None if decoded is click else index)
    return checked


def _decode_items(value: bytes) -> list[Click | Rejected]:
    """The slow way, once something in the record is wrong: find the bad items of an array, keep the good ones."""
    if value.lstrip()[:1] == b"[":
        try:
            items = _items.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_undecodable(value, None)]
        return [decode_one(bytes(item), index) for index, item in enumerate(items)]
    return [decode_one(value)]


def decode_one(raw: bytes, index: int | None = None) -> Click | Rejected:
    """One JSON object as a click, or what is wrong with it."""
    try:
        click = _one.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _undecodable(raw, index)
    problem = check(click)
    return Rejected(*problem, raw, index) if problem else click


def _undecodable(raw: bytes, index: int | None) -> Rejected:
    fault, message = _name_fault(raw)
    return Rejected(fault, message, raw, index)


def _name_fault(raw: bytes) -> tuple[Fault, str]:
    if not raw.strip():
        return Fault.EMPTY, "the value is empty"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return Fault.NOT_UTF8, f"the value is not UTF-8: {error.reason} at byte {error.start}"
    try:
        _one.decode(raw)
    except msgspec.ValidationError as error:
        return _name_validation_fault(str(error))
    except msgspec.DecodeError as error:
        return Fault.NOT_JSON, f"the value is not JSON: {error}"
    raise AssertionError("only undecodable values are named")


def _name_validation_fault(text: str) -> tuple[Fault, str]:
    if "required field `clicked_at`" in text:
        return Fault.TIME_MISSING, "clicked_at is required"
    if "$.clicked_at" in text:
        return Fault.TIME_INVALID, f"clicked_at is neither RFC 3339 nor integer milliseconds: {text}"
    if " - at `$." in text:
        return Fault.WRONG_TYPE, text
    return Fault.NOT_AN_EVENT, f"the value is not an event object: {text}"


def check(click: Click) -> tuple[Fault, str] | None:
    """What is wrong with a decoded click, or None. Its `domain` is put into its normal form."""
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
        domain = normal_domain(click.domain)
        if domain is None:
            return Fault.DOMAIN_INVALID, f"{click.domain!r} is not a domain, with or without a scheme"
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
    for name, value, most in (
        ("event_id", click.event_id, MAX_EVENT_ID),
        ("visitor_id", click.visitor_id, MAX_VISITOR_ID),
        ("link_id", click.link_id, MAX_LINK_ID),
    ):
        if value is not None and len(value) > most:
            return Fault.TEXT_TOO_LONG, f"{name} has {len(value)} characters, at most {most} are allowed"
    return None


def _has_all(group: Iterable[object | None]) -> bool | None:
    """True if every member is given, False if none is, None if only some are (an empty text counts as missing)."""
    given = [value is not None and value != "" for value in group]
    return True if all(given) else None if any(given) else False


@lru_cache(maxsize=65536)
def normal_domain(domain: str) -> str | None:
    """`VVD.bz/` → `https://vvd.bz`: scheme added, lower case, no trailing slash; None if it names no host."""
    text = domain.strip().lower().rstrip("/")
    if "://" not in text:
        text = f"https://{text}"
    try:
        host = urlsplit(text).hostname
    except ValueError:
        return None
    return text if host and not any(character.isspace() for character in text) else None


def user_identity(click: Click) -> bytes | None:
    """What stands for the user: the visitor id, else address and user agent, else nothing."""
    if click.visitor_id:
        return b"v\0" + click.visitor_id.encode()
    if click.ip or click.user_agent:
        return b"a\0" + (click.ip or "").encode() + b"\0" + (click.user_agent or "").encode()
    return None


def partition_key(click: Click) -> bytes:
    """The Kafka key: the user, else the link, so that a retry and a repeat land in the same partition."""
    if identity := user_identity(click):
        return identity
    if click.link_id is not None:
        return f"l\0{click.domain}\0{click.link_id}".encode()
    return f"p\0{click.publisher_id}\0{click.advertiser_id}\0{click.network_id}".encode()
