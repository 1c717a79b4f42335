"""Owners' time zones, and the local days and hours of clicks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from rollups.clickhouse import ClickHouse, Row
from rollups.model import REPEATED

DEFAULT_ZONE = "UTC"
_MINUTE = 60  # zones change their offset on whole minutes only, except one in 1972: Newfoundland at 00:01 until 2011
_DAY = 86_400
READ_AT_ONCE = 100_000
_REMEMBERED = 100_000  # owners; a sender of clicks can invent any number of them
OVERLAP = timedelta(seconds=60)  # a row becomes visible a moment after its version
_START = datetime.fromtimestamp(0, UTC)

Ints = NDArray[np.int64]
Place = tuple[datetime, int]  # (version, owner), in which order changes are read


class OwnerZones:
    """The zones of one kind of owner. Unknown owners are queried at once; call `refresh` at least every 30 s.

    At most twice `remembered` owners, and those of one batch, stay in memory. Thread-safe. Both calls block.
    """

    def __init__(self, db: ClickHouse, table: str, key: str, remembered: int = _REMEMBERED) -> None:
        self._db, self._table, self._key, self._remembered = db, table, key, remembered
        self._young: dict[int, str] = {}  # used since the last overflow
        self._old: dict[int, str] = {}  # used before that
        self._lock = threading.Lock()
        self._settled: Place = _START, 0

    def refresh(self) -> None:
        """Reads zones that were written since the last call, for owners in memory."""
        place = self._settled
        while True:
            rows = self._db.query(
                f"SELECT {self._key}, time_zone, version, now64(6, 'UTC') FROM {self._table} FINAL "
                f"WHERE (version, {self._key}) > ({{since:DateTime64(6, 'UTC')}}, {{after:UInt64}}) "
                f"ORDER BY version, {self._key} LIMIT {READ_AT_ONCE}",
                {"since": place[0], "after": place[1]},
            )
            self._take_over(rows)
            if len(rows) < READ_AT_ONCE:
                break
            place = rows[-1][2].replace(tzinfo=UTC), rows[-1][0]

    def _take_over(self, rows: Sequence[Row]) -> None:
        with self._lock:
            for owner, zone, _, _ in rows:
                for generation in (self._young, self._old):
                    if owner in generation:
                        generation[owner] = _known(zone)
        if rows:
            owner, _, version, now = rows[-1]
            latest = now.replace(tzinfo=UTC) - OVERLAP, 0
            self._settled = max(self._settled, min((version.replace(tzinfo=UTC), owner), latest))

    def zones_of(self, owners: Iterable[int]) -> dict[int, str]:
        """The zone of each owner, DEFAULT_ZONE if the catalogue does not know it."""
        wanted = set(owners)
        with self._lock:
            for owner in (wanted - self._young.keys()) & self._old.keys():
                self._young[owner] = self._old[owner]
            found = {owner: self._young[owner] for owner in wanted & self._young.keys()}
        asked = self._ask(list(wanted - found.keys()))
        with self._lock:
            self._young.update(asked)
            if len(self._young) > self._remembered:
                self._old, self._young = self._young, {}
        return found | asked

    def _ask(self, unknown: list[int]) -> dict[int, str]:
        zones = dict.fromkeys(unknown, DEFAULT_ZONE)
        rows = self._db.query_lists(
            f"SELECT {self._key}, time_zone FROM {self._table} FINAL WHERE {self._key} IN {{owners:Array(UInt64)}}",
            {"owners": unknown},
        )
        return zones | {owner: _known(zone) for owner, zone in rows}


@dataclass(frozen=True, slots=True)
class TimeZones:
    """The zones of all owners of clicks."""

    accounts: OwnerZones
    publishers: OwnerZones

    @classmethod
    def from_database(cls, db: ClickHouse) -> TimeZones:
        return cls(OwnerZones(db, "accounts", "account_id"), OwnerZones(db, "publishers", "publisher_id"))

    def refresh(self) -> None:
        self.accounts.refresh()
        self.publishers.refresh()


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _known(zone: str) -> str:
    """The zone, or the default for an unknown name, which must not stop the worker."""
    return zone if zone in _zone_names() else DEFAULT_ZONE


@lru_cache(maxsize=65536)
def _offset(zone: str, minute: int) -> tuple[int, int]:
    """The UTC offset of the zone in seconds, at a minute since 1970, and 1 if the clock repeats it."""
    local = datetime.fromtimestamp(minute * _MINUTE, ZoneInfo(zone))
    offset = local.utcoffset()
    return 0 if offset is None else int(offset.total_seconds()), local.fold


def local_day_hour(clicked_at_ms: Ints, owners: Ints, zones: OwnerZones) -> tuple[Ints, Ints]:
    """Local day (days since 1970) and hour of each click in the zone of its owner. Blocks for unknown owners.

    Hours are 0 to 23, and higher by REPEATED when the clock shows them for the second time.
    """
    seconds = clicked_at_ms // 1000
    local, repeated = np.empty_like(seconds), np.empty_like(seconds)
    distinct, place = np.unique(owners, return_inverse=True)
    by_owner = zones.zones_of(distinct.tolist())
    names = np.array([by_owner[owner] for owner in distinct.tolist()], dtype=object)
    for zone in set(names.tolist()):
        rows = (names == zone)[place]
        minutes, where = np.unique(seconds[rows] // _MINUTE, return_inverse=True)
        offsets, folds = np.array([_offset(zone, minute) for minute in minutes.tolist()], dtype=np.int64).T
        local[rows] = seconds[rows] + offsets[where]
        repeated[rows] = folds[where]
    np.maximum(local, 0, out=local)  # the first hours of 1970 in a western zone; dates of ClickHouse start in 1970
    return local // _DAY, local % _DAY // 3600 + repeated * REPEATED
