"""Clicks as records of the clicks topic: key, bytes, and packing of several into one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.event.addresses import AddressHasher
from ingest.event.click import Click, encode, ensure_event_id, partition_key
from ingest.kafka.partitioner import partition_for_key
from ingest.settings import Settings

MAX_VALUE_BYTES = 512 * 1024  # half the default limit of a Kafka topic


@dataclass(slots=True)
class Record:
    """Clicks of one partition, with the key of the first."""

    key: bytes
    values: list[bytes] = field(default_factory=list)  # JSON, one click each
    size: int = 2  # of the array

    @property
    def value(self) -> bytes:
        return self.values[0] if len(self.values) == 1 else b"[%b]" % b",".join(self.values)

    def add(self, value: bytes) -> bool:
        """Adds the JSON of a click; False if there is no room."""
        size = self.size + len(value) + 1
        if self.values and size > MAX_VALUE_BYTES:
            return False
        self.values.append(value)
        self.size = size
        return True


class RecordPacker:
    """Packs clicks into records. With a visitor secret it hashes addresses, unless `keep_addresses` is set."""

    def __init__(self, settings: Settings) -> None:
        hides = settings.visitor_secret and not settings.keep_addresses
        self._addresses = AddressHasher(settings.visitor_secret) if hides else None

    def pack(self, click: Click) -> tuple[bytes, bytes]:
        """(key, value) of one click, which gets an id if it has none. ValueError if it is too large for a record."""
        ensure_event_id(click)
        address = click.ip
        if address and self._addresses:
            click.ip = self._addresses.hash_address(address)
        try:
            key, value = partition_key(click), encode(click)
        finally:
            click.ip = address
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"the click has {len(value)} bytes as JSON, at most {MAX_VALUE_BYTES} are allowed")
        return key, value

    def pack_many(self, clicks: Iterable[Click], partitions: int, key: bytes | None = None) -> list[Record]:
        """As few records as possible; `key`, if given, replaces the clicks' own. ValueError if a click is too large."""
        records: list[Record] = []
        filling: dict[int, Record] = {}
        for click in clicks:
            own, value = self.pack(click)
            chosen = key or own
            partition = partition_for_key(chosen, partitions)
            record = filling.get(partition)
            if record is None or not record.add(value):
                record = filling[partition] = Record(chosen)
                record.add(value)
                records.append(record)
        return records
