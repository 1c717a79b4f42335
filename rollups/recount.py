"""Counts the clicks of some days a second time, straight from the log, with plain dictionaries.

It shares decoding and validation with the workers, and nothing else: no dedupe windows, no `seen`, no markers, no
rollups.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ingest.event import Click, Rejected, clicked_at_ms, decode_record, user_identity
from ingest.event.addresses import AddressHasher
from rollups.bots.detection import is_bot, is_prefetch
from rollups.kafka_log.timestamps import WINDOW
from rollups.model import LOG_APPEND_TIME
from rollups.settings import Settings


@dataclass
class Zones:
    """Time zones of owners that are not in UTC."""

    accounts: Mapping[int, str]
    publishers: Mapping[int, str]

    def day(self, click_ms: int, zone: str | None) -> date:
        at: tzinfo = ZoneInfo(zone) if zone else UTC
        return datetime.fromtimestamp(click_ms / 1000, at).date()


@dataclass
class Known:
    """Keys of one partition by their last generation; rollups/transform/dedupe.py explains the rule."""

    width: int
    newest: int = 0
    last: dict[Any, int] = field(default_factory=dict)

    def check_and_add(self, taken_in: int, settled: int, key: Any) -> bool:
        now = settled - settled % self.width
        self.newest = max(taken_in - taken_in % self.width, now, self.newest)
        known = key in self.last and self.last[key] >= now - 2 * self.width
        self.last[key] = self.newest
        return known


@dataclass
class Clock:
    """Up to when the log of one partition had come; rollups/kafka_log/timestamps.py explains the rule."""

    settled_ms: int = 0
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def read(self, taken_in_ms: int, appended: bool) -> int:
        self.stamps.append(taken_in_ms or (self.stamps[-1] if self.stamps else 0))
        median = sorted(self.stamps)[(len(self.stamps) - 1) // 2] if len(self.stamps) > 2 else 0
        self.settled_ms = max(self.settled_ms, taken_in_ms if appended else median)
        return self.settled_ms


@dataclass
class Ledger:
    """What the log holds of a partition, by reason; `unverified` are counted clicks that may repeat earlier ones."""

    records: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    unverified: int = 0


@dataclass
class Elsewhere:
    """Which partition counted a key last, to notice keys that two partitions counted."""

    horizon_ms: int
    last: dict[Any, tuple[int, int]] = field(default_factory=dict)  # (time of the log, partition)

    def repeats(self, at_ms: int, partition: int, key: Any) -> int | None:
        """The partition of the later of two clicks with this key within a horizon; None if it is of the same."""
        then, other = self.last.get(key, (at_ms, partition))
        later = max((then, other), (at_ms, partition))
        self.last[key] = later
        return later[1] if other != partition and abs(at_ms - then) <= self.horizon_ms else None


class Recount:
    """Counts all records of the log, given in order within each partition: clicks by day, and the whole ledger.

    `undecodable` are the (partition, offset) of records that the workers could not count because of a bug.
    """

    def __init__(
        self, settings: Settings, zones: Zones, now_ms: int, undecodable: Container[tuple[int, int]] = ()
    ) -> None:
        self._settings, self._zones, self._now_ms = settings, zones, now_ms
        self._addresses = AddressHasher(settings.visitor_secret)
        self._width = -(-settings.dedupe_horizon_minutes // 2)
        self._known: dict[tuple[int, str], Known] = {}
        self._undecodable = undecodable
        self._elsewhere = Elsewhere(settings.dedupe_horizon_minutes * 60_000)
        self.ledgers: defaultdict[int, Ledger] = defaultdict(Ledger)
        self._clocks: defaultdict[int, Clock] = defaultdict(Clock)
        self.links: Counter[date] = Counter()
        self.placements: Counter[date] = Counter()

    def add(self, record: Any) -> None:
        """Counts an aiokafka ConsumerRecord."""
        partition, appended = record.partition, record.timestamp_type == LOG_APPEND_TIME
        taken_in = max(0, record.timestamp) if appended else min(max(0, record.timestamp), self._now_ms)
        settled = self._clocks[partition].read(taken_in, appended)
        times = taken_in and max(taken_in, settled), settled
        lost = (partition, record.offset) in self._undecodable
        for number, item in enumerate([None] if lost else decode_record(record.value)):
            if item is None or isinstance(item, Rejected):
                reason = "invalid"
            else:
                reason = self._reason(item, partition, *times)
                if reason == "counted":
                    self._count(item, partition, max(times), keyed=bool(record.key))
            self.ledgers[partition].events[reason] += 1
            self.ledgers[partition].records[reason] += number == 0

    def _count(self, click: Click, partition: int, log_time_ms: int, *, keyed: bool) -> None:
        at = clicked_at_ms(click)
        if click.account_id is not None:
            self.links[self._zones.day(at, self._zones.accounts.get(click.account_id))] += 1
        if click.publisher_id is not None:
            self.placements[self._zones.day(at, self._zones.publishers.get(click.publisher_id))] += 1
        late = at // 60_000 < log_time_ms // 60_000 - self._settings.dedupe_horizon_minutes
        if late or not keyed or not click.event_id or click.id_assigned:
            self.ledgers[partition].unverified += 1
            return
        key = (click.event_id, click.account_id, click.publisher_id)
        repeats = self._elsewhere.repeats(log_time_ms, partition, key)
        if repeats is not None:
            self.ledgers[repeats].unverified += 1

    def _reason(self, click: Click, partition: int, taken_in: int, settled: int) -> str:
        at, minutes = clicked_at_ms(click), (taken_in // 60_000, settled // 60_000)
        if at - (taken_in or self._now_ms) > self._settings.future_tolerance_minutes * 60_000:
            return "future"
        event = (click.event_id, click.account_id, click.publisher_id)
        if click.event_id and self._is_known(partition, "id", minutes, event):
            return "duplicate"
        if is_prefetch(click.method, click.purpose):
            return "prefetch"
        if click.user_agent and is_bot(click.user_agent):
            return "bot"
        click.ip = click.ip and self._addresses.hash_address(click.ip)
        user, seconds = user_identity(click), self._settings.repeat_seconds
        if user is None or not seconds:
            return "counted"
        link = (click.account_id, click.domain, click.link_id)
        place = link if click.link_id else (click.publisher_id, click.advertiser_id, click.network_id)
        return (
            "repeat"
            if self._is_known(partition, "repeat", minutes, (user, place, at // (seconds * 1000)))
            else "counted"
        )

    def _is_known(self, partition: int, kind: str, minutes: tuple[int, int], key: Any) -> bool:
        known = self._known.setdefault((partition, kind), Known(self._width))
        return known.check_and_add(*minutes, key)
