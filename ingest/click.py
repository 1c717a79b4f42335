"""The click event: its fields, its identity, and who it is about."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

import msgspec
import uuid_utils


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


_encoder = msgspec.json.Encoder()


def encode(click: Click | list[Click]) -> bytes:
    """The value of a record with one click, or an array of them."""
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


def user_identity(click: Click) -> bytes | None:
    """What stands for the user: the visitor id, else address and user agent, else nothing."""
    if click.visitor_id:
        return b"v\0" + click.visitor_id.encode()
    if click.ip or click.user_agent:
        return b"a\0" + (click.ip or "").encode() + b"\0" + (click.user_agent or "").encode()
    return None


def partition_key(click: Click) -> bytes:
    """The Kafka key: the user, else the link, so that a retry and a repeat land in the same partition.

    Hashed to 8 bytes, because aiokafka's partitioner takes longer for a long key than all else done to a click.
    """
    subject = user_identity(click)
    if subject is None and click.link_id is not None:
        subject = f"l\0{click.domain}\0{click.link_id}".encode()
    if subject is None:
        subject = f"p\0{click.publisher_id}\0{click.advertiser_id}\0{click.network_id}".encode()
    return blake2b(subject, digest_size=8).digest()
