"""Rows of one partition as the columns of the landing table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.event import Click
from rollups.decode import Reason, Row
from rollups.identity import Identities
from rollups.lease import Lease
from rollups.zones import OwnerZones, cut

_SHOWN = (Reason.COUNTED, Reason.BOT, Reason.PREFETCH)


class Columns:
    """Turns rows into Arrow tables; knows the owners' zones."""

    def __init__(self, account_zones: OwnerZones, publisher_zones: OwnerZones) -> None:
        self._account_zones = account_zones
        self._publisher_zones = publisher_zones

    def of(self, rows: list[Row], who: Identities, lease: Lease, source: int, expect: int) -> pa.Table:
        """One landing row each, in log order. Rows that no grain shows carry their place and reason only."""
        blank = Click(clicked_at=0)
        clicks = [row.click if row.click is not None and row.reason in _SHOWN else blank for row in rows]
        accounts = _ids(click.account_id for click in clicks)
        publishers = _ids(click.publisher_id for click in clicks)
        link_day, link_hour = cut(who.clicked_ms, accounts, self._account_zones)
        affiliate_day, _ = cut(who.clicked_ms, publishers, self._publisher_zones)
        count = len(rows)
        return pa.table(
            {
                "source": np.full(count, source, np.uint32),
                "partition": np.full(count, lease.partition, np.uint16),
                "offset": np.array([row.offset for row in rows], np.uint64),
                "epoch": np.full(count, lease.epoch, np.uint64),
                "expect": np.full(count, expect, np.uint64),
                "log_time": pa.array([row.log_time_ms for row in rows], pa.timestamp("ms", "UTC")),
                "records": np.array([row.records for row in rows], np.uint64),
                "reason": np.array([row.reason for row in rows], np.int8),
                "verified": np.array([row.verified for row in rows], bool),
                "user": who.users,
                "account_id": accounts.astype(np.uint64),
                "domain": [click.domain or "" for click in clicks],
                "link_id": [click.link_id or "" for click in clicks],
                "link_day": link_day.astype(np.uint16),
                "link_hour": link_hour.astype(np.uint8),
                "publisher_id": publishers.astype(np.uint64),
                "advertiser_id": _ids(click.advertiser_id for click in clicks).astype(np.uint64),
                "network_id": _ids(click.network_id for click in clicks).astype(np.uint64),
                "affiliate_day": affiliate_day.astype(np.uint16),
            }
        )


def _ids(values: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([value or 0 for value in values], np.int64)
