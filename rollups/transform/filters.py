"""Classifies decoded clicks: of people and in time, or from the future, of bots, prefetches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from rollups.bots.detection import bot_mask, is_prefetch
from rollups.model import Reason
from rollups.transform.click_columns import Mask, by_value
from rollups.transform.decode import Decoded


def classify(decoded: Decoded, now_ms: int, future_tolerance_ms: int) -> None:
    """Gives clicks from the future (dead letters), of bots and prefetches their reason.

    A click is compared with the time at which the log took it in, so that a replay decides alike; without that time,
    with `now_ms`.
    """
    rows, columns = decoded.rows, decoded.rows.columns
    prefetch = _verdicts(columns.method, lambda method: is_prefetch(method, None))
    prefetch |= _verdicts(columns.purpose, lambda purpose: is_prefetch(None, purpose))
    bot = bot_mask(columns.user_agent)
    taken_in = np.where(rows.log_time_ms == 0, now_ms, rows.log_time_ms)
    ahead = columns.clicked_ms - taken_in
    counted = rows.reasons == Reason.COUNTED
    future = counted & (ahead > future_tolerance_ms)
    rows.reasons[counted & bot] = Reason.BOT
    rows.reasons[counted & prefetch] = Reason.PREFETCH
    rows.reasons[future] = Reason.FUTURE
    for row in np.flatnonzero(future).tolist():
        message = f"clicked_at is {ahead[row] / 60_000:.0f} minutes ahead of the log"
        decoded.problems[row] = Reason.FUTURE, "future", message


def _verdicts(texts: pa.StringArray, verdict: Callable[[str], bool]) -> Mask:
    return by_value(texts, verdict, pa.bool_()).fill_null(False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
