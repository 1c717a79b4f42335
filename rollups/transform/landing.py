"""Makes the landing table from the rows of one partition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from rollups.kafka_log.tail import NO_TAIL, Tail
from rollups.model import Lease, Reason
from rollups.transform.decode import Rows
from rollups.transform.identity import Identities
from rollups.transform.timezones import TimeZones, local_day_hour

_SHOWN = (Reason.COUNTED, Reason.BOT, Reason.PREFETCH)


def to_landing_table(
    rows: Rows,
    identities: Identities,
    zones: TimeZones,
    *,
    lease: Lease,
    source: int,
    expect: int,
    tail: Tail = NO_TAIL,
) -> pa.Table:
    """One landing row per row, in log order. Rows that appear in no grain have owner 0. Blocks for unknown zones.

    `expect` is the watermark that the insert is compared with, `tail` the last record of the batch.
    """
    columns, count = rows.columns, len(rows)
    shown = np.isin(rows.reasons, _SHOWN)
    accounts, publishers = columns.account_id * shown, columns.publisher_id * shown
    link_day, link_hour = local_day_hour(columns.clicked_ms, accounts, zones.accounts)
    settled = np.full(count, rows.settled_ms[-1] if count else 0)
    affiliate_day, _ = local_day_hour(columns.clicked_ms, publishers, zones.publishers)
    return pa.table(
        {
            "source": np.full(count, source, np.uint32),
            "partition": np.full(count, lease.partition, np.uint16),
            "offset": rows.offsets.astype(np.uint64),
            "epoch": np.full(count, lease.epoch, np.uint64),
            "expect": np.full(count, expect, np.uint64),
            "log_time": pa.array(settled).cast(pa.timestamp("ms", "UTC")),
            "crc": np.where(rows.offsets == tail.offset, tail.crc, 0).astype(np.uint32),
            "records": rows.records.astype(np.uint64),
            "reason": rows.reasons,
            "verified": rows.verified,
            "user": identities.users,
            "account_id": accounts.astype(np.uint64),
            "domain": columns.domain.fill_null(""),
            "link_id": columns.link_id.fill_null(""),
            "link_day": link_day.astype(np.uint16),
            "link_hour": link_hour.astype(np.uint8),
            "publisher_id": publishers.astype(np.uint64),
            "advertiser_id": columns.advertiser_id.astype(np.uint64),
            "network_id": columns.network_id.astype(np.uint64),
            "affiliate_day": affiliate_day.astype(np.uint16),
        }
    )
