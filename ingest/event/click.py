"""The click event: its fields, identity, user and partition key."""

from __future__ import annotations

from datetime import datetime
from zlib import crc32

import msgspec
import uuid_utils

from ingest.event.addresses import address_group


class Click(msgspec.Struct, omit_defaults=True, gc=False):
    """One click as a redirect server sends it (UTF-8 JSON). Unknown fields are ignored.

    `clicked_at` is an RFC 3339 time with offset or integer milliseconds since 1970. `account_id`, `domain` and
    `link_id` name a short link, `publisher_id`, `advertiser_id` and `network_id` an affiliate placement: all three
    or none of each, and at least one of the two. `id_assigned` marks an `event_id` that the sender did not choose: its
    retries cannot be recognized.
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
    id_assigned: bool = False


_encoder = msgspec.json.Encoder()


def encode(click: Click | list[Click]) -> bytes:
    """The value of a record with one click, or an array of them."""
    return _encoder.encode(click)


def ensure_event_id(click: Click) -> Click:
    """The same object; if it has no `event_id`, it gets a UUIDv7 that is marked as assigned."""
    if not click.event_id:
        click.event_id, click.id_assigned = str(uuid_utils.uuid7()), True
    return click


def clicked_at_ms(click: Click) -> int:
    """Milliseconds since 1970, UTC."""
    at = click.clicked_at
    return at if isinstance(at, int) else round(at.timestamp() * 1000)


def user_identity(click: Click) -> bytes | None:
    """The user: the visitor id, else address and user agent; None if all are missing."""
    if click.visitor_id:
        return b"v\0" + click.visitor_id.encode()
    if click.ip or click.user_agent:
        return b"a\0" + (click.ip or "").encode() + b"\0" + (click.user_agent or "").encode()
    return None


def partition_key(click: Click) -> bytes:
    """The Kafka key, which brings retries and repeats to the same partition: a CRC-32 in 8 hexadecimal digits.

    It covers the visitor id, else the address group and user agent, else the link, else the placement. Direct writers
    can compute it in any language, it reveals no address, and it is short because our partitioner is Python.
    """
    if click.visitor_id:
        subject = click.visitor_id
    elif click.ip or click.user_agent:
        subject = f"{address_group(click.ip) if click.ip else '-'}{click.user_agent or ''}"
    elif click.link_id:
        subject = f"{click.account_id} {click.link_id}"
    else:
        subject = f"{click.publisher_id} {click.advertiser_id} {click.network_id}"
    return b"%08x" % crc32(subject.encode())
