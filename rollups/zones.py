"""Owners' time zones, and the cut of click times into their local days and hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from rollups.store import Store

DEFAULT_ZONE = "UTC"
_MINUTE = 60  # zones change their offset on whole minutes only, save one in 1972: Newfoundland at 00:01 until 2011
_DAY = 86_400
_ASKED_AT_ONCE = 1000  # ClickHouse takes no parameter above 128 KiB
_OVERLAP = timedelta(seconds=60)  # a row is visible a moment after its version was stamped

Ints = NDArray[np.int64]


class OwnerZones:
    """The zones of one kind of owner, kept in memory; `refresh` at least every 30 s, unknown owners at once."""

    def __init__(self, store: Store, table: str, key: str) -> None:
        self._store = store
        self._table = table
        self._key = key
        self._zones: dict[int, str] = {}
        self._since = datetime.fromtimestamp(0, UTC)

    def refresh(self) -> None:
        """Takes over zones that were written since the last look."""
        rows = self._store.query(
            f"SELECT {self._key}, time_zone, version FROM {self._table} FINAL "
            "WHERE version > {since:DateTime64(6, 'UTC')}",
            {"since": self._since},
        )
        for owner, zone, version in rows:
            self._zones[owner] = _known(zone)
            self._since = max(self._since, version.replace(tzinfo=UTC) - _OVERLAP)

    def of(self, owners: Iterable[int]) -> dict[int, str]:
        """The zone of each owner; one that the catalogue does not know has the default."""
        wanted = set(owners)
        unknown = [owner for owner in wanted if owner not in self._zones]
        for start in range(0, len(unknown), _ASKED_AT_ONCE):
            asked = unknown[start : start + _ASKED_AT_ONCE]
            rows = self._store.query(
                f"SELECT {self._key}, time_zone FROM {self._table} FINAL WHERE {self._key} IN {{owners:Array(UInt64)}}",
                {"owners": asked},
            )
            self._zones.update(dict.fromkeys(asked, DEFAULT_ZONE))
            self._zones.update({owner: _known(zone) for owner, zone in rows})
        return {owner: self._zones[owner] for owner in wanted}


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _known(zone: str) -> str:
    """A zone written into the table by hand must not stop the worker: what is no zone counts as the default."""
    return zone if zone in _zone_names() else DEFAULT_ZONE


@lru_cache(maxsize=65536)
def _offset(zone: str, minute: int) -> int:
    """Seconds east of UTC that the zone has in a minute since 1970."""
    offset = datetime.fromtimestamp(minute * _MINUTE, ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def cut(clicked_at_ms: Ints, owners: Ints, zones: OwnerZones) -> tuple[Ints, Ints]:
    """Local day (days since 1970) and hour (0–23) of each click in its owner's zone."""
    seconds = clicked_at_ms // 1000
    local = np.empty_like(seconds)
    distinct, place = np.unique(owners, return_inverse=True)
    by_owner = zones.of(distinct.tolist())
    names = np.array([by_owner[owner] for owner in distinct.tolist()], dtype=object)
    for zone in set(names.tolist()):
        rows = (names == zone)[place]
        minutes, where = np.unique(seconds[rows] // _MINUTE, return_inverse=True)
        offsets = np.array([_offset(zone, minute) for minute in minutes.tolist()], dtype=np.int64)
        local[rows] = seconds[rows] + offsets[where]
    np.maximum(local, 0, out=local)  # a west zone's first hours of 1970; ClickHouse's dates start there
    return local // _DAY, local % _DAY // 3600
