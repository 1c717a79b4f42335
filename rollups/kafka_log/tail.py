"""Whether a log is still the one that was counted: a note of its last counted record, and what it has there now.

A broker that is restored from an older copy gives offsets again. Once it has grown past the watermark nothing else
shows that what it has before the watermark was never counted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from rollups.model import Records

_FAR = 10_000  # offsets after the noted record that are looked at, where no more records follow before the watermark


@dataclass(frozen=True, slots=True)
class Tail:
    """The last record below a watermark; `crc` is 0 where none was noted. `settled_ms` as of
    rollups/kafka_log/timestamps.py."""

    offset: int = 0
    settled_ms: int = 0
    crc: int = 0

    def stretch(self, watermark: int) -> tuple[int, int]:
        """[start, end) of what has to be looked at: the record, and that none follows it below the watermark."""
        return self.offset, min(watermark, self.offset + _FAR)

    def mismatch(self, found: Mapping[int, int]) -> str:
        """Why the log is another one, empty if it is not; `found` are CRCs by offset of what it has in the stretch."""
        if found == {self.offset: self.crc}:
            return ""
        differs = min(found.items() ^ {(self.offset, self.crc)})[0]
        return f"the log is not the one that was counted: at offset {differs} it has something else (an older copy?)"


NO_TAIL = Tail()


def tail_of(records: Records, settled_ms: int) -> Tail:
    """Of the last one of some records."""
    if not len(records):
        return NO_TAIL
    crc = fingerprint(records.log_times_ms[-1], records.keys[-1], records.values[-1])
    return Tail(records.offsets[-1], settled_ms, crc)


def fingerprint(stamp_ms: int, key: bytes | None, value: bytes | None) -> int:
    """CRC-32 of a record with its stamp."""
    return zlib.crc32(value or b"", zlib.crc32(key or b"", zlib.crc32(struct.pack("<q", stamp_ms))))
