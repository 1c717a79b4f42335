"""Bitly's 1.usa.gov click feed: one redirect a line, as JSON. docs/importers.md has the mapping."""

from __future__ import annotations

from hashlib import blake2b
from urllib.parse import urlsplit

import msgspec

from ingest.event import Click, Fault, Rejected
from ingest.importers.lines import Outcome, Skipped, click_or_rejected


class FeedLine(msgspec.Struct):
    """The fields we use, under the feed's names."""

    heartbeat: int | None = msgspec.field(name="_heartbeat_", default=None)
    t: int | None = None
    l: str | None = None  # noqa: E741 (the feed's name)
    h: str | None = None
    hh: str | None = None
    u: str | None = None
    r: str | None = None
    a: str | None = None
    c: str | None = None
    gr: str | None = None
    cy: str | None = None
    tz: str | None = None


_MAX_URL_LENGTH = 4096  # characters searched for the host; urlsplit caches its argument

_decoder = msgspec.json.Decoder(FeedLine)


def parse(raw: bytes) -> Outcome:
    try:
        line = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        return Rejected(Fault.WRONG_TYPE, str(error), raw)
    except msgspec.DecodeError as error:
        return Rejected(Fault.NOT_JSON, f"the line is not JSON: {error}", raw)
    except RecursionError:
        return Rejected(Fault.TOO_DEEP, "the line is nested too deeply", raw)
    except UnicodeDecodeError as error:
        return Rejected(Fault.NOT_UTF8, f"the line is not UTF-8: {error.reason} at byte {error.start}", raw)
    if line.heartbeat is not None:
        return Skipped.HEARTBEAT
    if line.t is None:
        return Rejected(Fault.TIME_MISSING, "the line has no click time (t)", raw)
    return click_or_rejected(_click(line, line.t), raw)


def _click(line: FeedLine, seconds: int) -> Click:
    account_id = numeric_id(line.l)
    return Click(
        clicked_at=seconds * 1000,
        account_id=account_id,
        domain=line.hh or None,
        link_id=line.h or None,
        publisher_id=account_id,
        advertiser_id=numeric_id(_host(line.u)),
        network_id=numeric_id(line.hh),
        visitor_id=_visitor(line),
        user_agent=line.a or None,
        referrer=None if line.r == "direct" else line.r or None,
        country=line.c or None,
    )


def numeric_id(name: str | None) -> int | None:
    """An id for a name: the first 6 bytes of its BLAKE2b hash, at least 1."""
    if not name:
        return None
    return int.from_bytes(blake2b(name.encode(errors="replace"), digest_size=6).digest()) or 1


def _host(url: str | None) -> str | None:
    try:
        return urlsplit((url or "")[:_MAX_URL_LENGTH]).hostname
    except ValueError:
        return None


def _visitor(line: FeedLine) -> str:
    """The feed has no address or cookie, so equal browsers at one place are one visitor."""
    traits = [line.a or "", line.tz or "", line.c or "", line.gr or "", line.cy or ""]
    return blake2b("\0".join(traits).encode(errors="replace"), digest_size=16).hexdigest()
