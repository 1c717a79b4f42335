"""The clicks of some days counted a second time, straight from the log, by dictionaries and nothing clever.

It shares decoding and the rules of what a click is with the workers, and none of their state: no memory tables, no
`seen`, no markers, no rollups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ingest.event import Click, Rejected, clicked_at_ms, decode_record, user_identity
from ingest.settings import Settings
from rollups.bots import is_bot, is_prefetch


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
    """Keys of one partition by the generation they last came in; see rollups/dedupe.py for the rule."""

    width: int
    newest: int = 0
    last: dict[Any, int] = field(default_factory=dict)

    def take(self, log_minute: int, key: Any) -> bool:
        generation = max(log_minute - log_minute % self.width, self.newest)
        known = self.last.get(key, -1) >= generation - 2 * self.width
        self.last[key] = self.newest = generation
        return known


class Recount:
    """Feed it every record of the log, each partition in order; it knows the clicks by day."""

    def __init__(self, settings: Settings, zones: Zones, now_ms: int) -> None:
        self._settings, self._zones, self._now_ms = settings, zones, now_ms
        self._width = -(-settings.dedupe_horizon_minutes // 2)
        self._known: dict[tuple[int, str], Known] = {}
        self.links: Counter[date] = Counter()
        self.placements: Counter[date] = Counter()

    def add(self, partition: int, log_time_ms: int, value: bytes | None) -> None:
        log_time_ms = max(0, log_time_ms)  # below 0 there is none
        for item in decode_record(value):
            if not isinstance(item, Rejected) and self._counts(item, partition, log_time_ms):
                at = clicked_at_ms(item)
                if item.account_id is not None:
                    self.links[self._zones.day(at, self._zones.accounts.get(item.account_id))] += 1
                if item.publisher_id is not None:
                    self.placements[self._zones.day(at, self._zones.publishers.get(item.publisher_id))] += 1

    def _counts(self, click: Click, partition: int, log_time_ms: int) -> bool:
        at, minute = clicked_at_ms(click), log_time_ms // 60_000
        if at - min(log_time_ms or self._now_ms, self._now_ms) > self._settings.future_tolerance_minutes * 60_000:
            return False
        if click.event_id and self._take(partition, "id", minute, click.event_id):
            return False
        if is_prefetch(click.method, click.purpose) or (click.user_agent and is_bot(click.user_agent)):
            return False
        user, seconds = user_identity(click), self._settings.repeat_seconds
        if user is None or not seconds:
            return True
        link = (click.account_id, click.domain, click.link_id)
        place = link if click.link_id is not None else (click.publisher_id, click.advertiser_id, click.network_id)
        return not self._take(partition, "repeat", minute, (user, place, at // (seconds * 1000)))

    def _take(self, partition: int, kind: str, minute: int, key: Any) -> bool:
        known = self._known.setdefault((partition, kind), Known(self._width))
        return known.take(minute, key)
