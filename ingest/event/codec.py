"""The event contract: a Kafka record holds one JSON object or an array of them, each a click or rejected.

Each fault has a name in `Fault`, for the collector's responses and the dead letters.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ingest.event.click import Click
from ingest.event.validation import Fault, validate_and_normalize


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that is no click: its fault, a message for people, and its bytes."""

    fault: Fault
    message: str
    raw: bytes | None
    index: int | None = None


MAX_RECORD_EVENTS = 50_000
_MAX_COMMAS = 20 * MAX_RECORD_EVENTS  # more than an array of that many events has; each comma may cost an object

_one = msgspec.json.Decoder(Click)
_record = msgspec.json.Decoder(Click | list[Click])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

parse_record = _record.decode  # the clicks of a record, unchecked; raises one of UNPARSABLE
UNPARSABLE = (*_UNDECODABLE, TypeError)  # a tombstone is None


def decode_record(value: bytes | None) -> list[Click | Rejected]:
    """The clicks of a Kafka record value, in order; never empty, so every record is accounted for."""
    if value is None:
        return [Rejected(Fault.TOMBSTONE, "the record has no value (a tombstone)", None)]
    try:
        decoded = _record.decode(value)
    except _UNDECODABLE:
        return _decode_items(value)
    clicks = decoded if isinstance(decoded, list) else [decoded]
    if not clicks:
        return [Rejected(Fault.NOT_AN_EVENT, "the record is an empty array", value)]
    if len(clicks) > MAX_RECORD_EVENTS:
        return [_too_many(value)]
    if any(validate_and_normalize(click) for click in clicks):
        return _decode_items(value)
    return list(clicks)


def split_array(value: bytes | None) -> list[bytes] | None:
    """The bytes of each item of an array; None if the record is no array, is not JSON, or has too many items."""
    if value is None or value.lstrip()[:1] != b"[" or value.count(b",") > _MAX_COMMAS:
        return None
    try:
        items = _items.decode(value)
    except _UNDECODABLE:
        return None
    return [bytes(item) for item in items] if 0 < len(items) <= MAX_RECORD_EVENTS else None


def _decode_items(value: bytes) -> list[Click | Rejected]:
    """The slow way, for a record with a fault: each item of an array by itself."""
    items = split_array(value)
    if items is not None:
        return [decode_one(item, index) for index, item in enumerate(items)]
    if value.lstrip()[:1] != b"[":
        return [decode_one(value)]
    try:
        _any.decode(value)
    except _UNDECODABLE:
        return [_undecodable(value, None)]
    return [_too_many(value)]


def _too_many(value: bytes) -> Rejected:
    return Rejected(
        Fault.TOO_LARGE, f"the array is too large: a record holds at most {MAX_RECORD_EVENTS} events", value
    )


def decode_one(raw: bytes, index: int | None = None) -> Click | Rejected:
    """The click of one JSON object, or its fault."""
    try:
        click = _one.decode(raw)
    except _UNDECODABLE:
        return _undecodable(raw, index)
    problem = validate_and_normalize(click)
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
        _any.decode(raw)
        _one.decode(raw)
    except RecursionError:
        return Fault.TOO_DEEP, "the value is nested too deeply"
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
