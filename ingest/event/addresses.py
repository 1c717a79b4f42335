"""Keyed hashes in place of network addresses."""

from __future__ import annotations

import re
from hashlib import blake2b, sha256
from zlib import crc32

import msgspec

_HASHED = re.compile(r"h:[0-9a-f]{32}")

# The value of each `ip` in a JSON text: a possibly truncated string, a number, or a flat array or object. Possessive
# quantifiers keep it linear.
_FIELD = re.compile(
    rb'("(?:i|\\u0069)(?:p|\\u0070)"\s*+:\s*+)'
    rb'("(?:[^"\\]|\\.)*+"?|-?\d[\d.eE+-]*+|\[[^][{}]*+\]|\{[^][{}]*+\})',
    re.DOTALL,
)
_EMPTY = {b'"': b'""', b"[": b"[]", b"{": b"{}"}


def address_group(address: str) -> str:
    """The group of an address, or of a hash's address: one of 16, as a hexadecimal digit.

    It spreads users of one user agent over partitions. It is not keyed, so a retry lands in the same partition from any
    sender, even after the secret has changed; it reveals four bits of the address.
    """
    return address[2] if _HASHED.fullmatch(address) else f"{crc32(address.encode()) & 15:x}"


class AddressHasher:
    """Hashes addresses with 124 bits of keyed BLAKE2b.

    A text in the form of a hash stays unchanged, so an event may pass twice. A sender that forges one only invents a
    visitor, as with any text in `ip`. With `keep`, `hide_addresses` changes nothing.
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
        """The same bytes with the value of each `ip`, at any depth, hashed; a value that is no string is emptied.

        Other fields stay byte for byte. Invalid JSON is searched too, since truncated lines hold addresses; bytes that
        are no text stay unchanged. Linear in the bytes, which may grow fivefold.
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
