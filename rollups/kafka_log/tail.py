"""Tells whether a log is still the one that was counted, by the fingerprint of its last counted record.

A broker that was restored from an older copy assigns offsets again. Once its log has grown past the watermark, nothing
else shows that the records before the watermark were never counted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from rollups.model import Records

_FAR = 10_000  # offsets after the noted record that are checked for records that should not be there


@dataclass(frozen=True, slots=True)
class Tail:
    """The last record below a watermark; `crc` is 0 if none was noted. For `settled_ms` see
    rollups/kafka_log/timestamps.py."""

    offset: int = 0
    settled_ms: int = 0
    crc: int = 0

    def stretch(self, watermark: int) -> tuple[int, int]:
        """[start, end) to be read: the record, and that none follows it below the watermark."""
        return self.offset, min(watermark, self.offset + _FAR)

    def mismatch(self, found: Mapping[int, int]) -> str:
        """Why the log is a different one, empty if it is not; `found` are the CRCs in the stretch, by offset."""
        if found == {self.offset: self.crc}:
            return ""
        differs = min(found.items() ^ {(self.offset, self.crc)})[0]
        return f"the log is not the one that was counted: at offset {differs} it has something else (an older copy?)"


NO_TAIL = Tail()


def tail_of(records: Records, settled_ms: int) -> Tail:
    """The tail of some records, NO_TAIL if there are none."""
    if not len(records):
        return NO_TAIL
    crc = fingerprint(records.log_times_ms[-1], records.keys[-1], records.values[-1])
    return Tail(records.offsets[-1], settled_ms, crc)


def fingerprint(stamp_ms: int, key: bytes | None, value: bytes | None) -> int:
    """CRC-32 of a record with its timestamp."""
    return zlib.crc32(value or b"", zlib.crc32(key or b"", zlib.crc32(struct.pack("<q", stamp_ms))))
