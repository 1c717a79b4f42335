"""Network addresses, and keyed hashes that stand for them wherever they would be kept."""

from __future__ import annotations

import re
from hashlib import blake2b, sha256
from zlib import crc32

import msgspec

_HASHED = re.compile(r"h:[0-9a-f]{32}")

# The value of each `ip` of a JSON text: a text that may be cut off, a number, or a flat array or object. Possessive, so
# that no byte is looked at twice, whatever the text is.
_FIELD = re.compile(
    rb'("(?:i|\\u0069)(?:p|\\u0070)"\s*+:\s*+)'
    rb'("(?:[^"\\]|\\.)*+"?|-?\d[\d.eE+-]*+|\[[^][{}]*+\]|\{[^][{}]*+\})',
    re.DOTALL,
)
_EMPTY = {b'"': b'""', b"[": b"[]", b"{": b"{}"}


def address_group(address: str) -> str:
    """Which of 16 groups an address is in, as a hexadecimal digit: its own, or that of the address it stands for.

    It spreads users of one user agent over partitions. It is not keyed, so that a retry lands in the same partition
    whoever sends it and whatever the secret is by then; of an address it gives away four bits.
    """
    return address[2] if _HASHED.fullmatch(address) else f"{crc32(address.encode()) & 15:x}"


class AddressHasher:
    """Hashes addresses with 124 bits of keyed BLAKE2b.

    What looks like such a hash stays as it is, so that an event may pass twice. Made up by a sender it is one more
    made-up visitor, as any text in `ip` is. `keep` leaves those in the bytes of an event as they are.
    """

    def __init__(self, visitor_secret: str, *, keep: bool = False) -> None:
        self._keep = keep
        self._keyed = blake2b(key=sha256(b"address\0" + visitor_secret.encode()).digest(), digest_size=16)

    def hash_address(self, address: str) -> str:
        """`h:` and 32 hexadecimal digits, the first of which is the group; an empty text stays empty."""
        if not address or _HASHED.fullmatch(address):
            return address
        keyed = self._keyed.copy()
        keyed.update(address.encode())
        return f"h:{address_group(address)}{keyed.hexdigest()[1:]}"

    def hide_addresses(self, raw: bytes) -> bytes:
        """The same bytes with the value of each `ip`, at any depth, hashed; one that is no text is emptied.

        Other fields stay byte for byte. What is no JSON is searched alike, as a line that was cut off holds addresses
        too; what is no text at all stays as it is. Takes time linear in the bytes, and may grow them fivefold.
        """
        return raw if self._keep else _FIELD.sub(self._without, raw)

    def _without(self, found: re.Match[bytes]) -> bytes:
        name, value = found.groups()
        if not value.startswith(b'"') or value == b'""':
            return name + _EMPTY.get(value[:1], b"0")
        try:
            address = msgspec.json.decode(value, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            address = value.decode(errors="replace")
        return name + b'"%b"' % self.hash_address(address).encode()
