"""Which decoded clicks are clicks of people, in time: the rest gets its reason here."""

from __future__ import annotations

from ingest.event import clicked_at_ms, raw_item
from rollups.bots import is_bot, is_prefetch
from rollups.decode import DeadLetter, Decoded, Reason


def admit(decoded: Decoded, now_ms: int, future_tolerance_ms: int) -> None:
    """Marks clicks from the future (dead letters), bots and prefetches.

    A click is compared with the time at which the log took it in, so that a replay decides the same; `now_ms`, the
    worker's clock, bounds that time where producers set it.
    """
    for row in decoded.rows:
        click = row.click
        if click is None:
            continue
        ahead = clicked_at_ms(click) - min(row.log_time_ms or now_ms, now_ms)
        if ahead > future_tolerance_ms:
            row.reason, row.click = Reason.FUTURE, None
            message = f"clicked_at is {ahead / 60_000:.0f} minutes ahead of the log"
            raw, index = raw_item(row.record.value, row.index)
            letter = DeadLetter(row.offset, Reason.FUTURE, "future", message, raw, index, row.record.key)
            decoded.dead.append(letter)
        elif is_prefetch(click.method, click.purpose):
            row.reason = Reason.PREFETCH
        elif click.user_agent and is_bot(click.user_agent):
            row.reason = Reason.BOT
