"""Which media types a client accepts, and which it prefers (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_RANGE = re.compile(rf"({_TOKEN})/({_TOKEN})((?:\s*;[^;]*)*)")
_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

MediaRange = tuple[str, str, float]


def preferred_media_type(accept: Sequence[str], offered: Sequence[str]) -> str:
    """The offered type with the highest quality; of equals, the one offered first. `accept`: the lines of the header.

    The first offer also answers a header that accepts none of them: old clients get JSON whatever they accept.
    Parameters of media ranges and malformed ranges are ignored.
    """
    ranges = _parse(accept)
    return max(offered, key=lambda media_type: _quality(media_type, ranges))


def accepts(accept: Sequence[str], media_type: str) -> bool:
    """Whether a client takes this type. `accept`: the lines of the header; without any it does."""
    return not accept or _quality(media_type, _parse(accept)) > 0


def _parse(accept: Sequence[str]) -> list[MediaRange]:
    return [parsed for line in accept for part in line.split(",") if (parsed := _parse_range(part.strip()))]


def _parse_range(text: str) -> MediaRange | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    quality = 1.0
    for parameter in found[3].split(";"):
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name.lower() == "q":
            if not _QVALUE.fullmatch(value):
                return None
            quality = float(value)
    return found[1].lower(), found[2].lower(), quality


def _quality(media_type: str, ranges: Sequence[MediaRange]) -> float:
    """The quality of the most specific matching range, 0 without one."""
    main, _, sub = media_type.partition("/")
    for wanted in ((main, sub), (main, "*"), ("*", "*")):
        qualities = [quality for *named, quality in ranges if tuple(named) == wanted]
        if qualities:
            return max(qualities)
    return 0.0
