"""Text without what does not change its meaning here."""

from __future__ import annotations

import unicodedata

_MARKS = range(0x300, 0x370)  # accents; the marks of kana are others


def folded(text: str) -> str:
    """Without case and accents: `Märzklicks` → `marzklicks`."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", "".join(char for char in plain if ord(char) not in _MARKS))
