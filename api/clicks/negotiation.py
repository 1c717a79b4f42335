"""Which of the offered media types a caller wants most (RFC 9110, 12.5.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_RANGE = re.compile(rf"({_TOKEN})/({_TOKEN})((?:\s*;[^;]*)*)")
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

Range = tuple[str, str, float]


def preferred(accept: Sequence[str], offered: Sequence[str]) -> str:
    """The type of the highest quality, the earlier offered of equals. `accept` are the lines of that header.

    Whoever wants none of them gets the first: a caller is served as he was before there was a choice. Parameters of
    media ranges are not looked at, and ranges that cannot be read are not there.
    """
    ranges = [parsed for line in accept for part in line.split(",") if (parsed := _range(part.strip()))]
    return max(offered, key=lambda media_type: _quality(media_type, ranges))


def _range(text: str) -> Range | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    quality = 1.0
    for parameter in found[3].split(";"):
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name.lower() == "q":
            if not _QUALITY.fullmatch(value):
                return None
            quality = float(value)
    return found[1].lower(), found[2].lower(), quality


def _quality(media_type: str, ranges: Sequence[Range]) -> float:
    """Of the most exact range that fits, 0 if none does."""
    main, _, sub = media_type.partition("/")
    for wanted in ((main, sub), (main, "*"), ("*", "*")):
        qualities = [quality for *named, quality in ranges if tuple(named) == wanted]
        if qualities:
            return max(qualities)
    return 0.0
