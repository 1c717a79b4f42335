"""When the log took a record in, as far as its timestamp can be trusted.

A timestamp of the broker (LogAppendTime) is trusted up to the present. One of a producer (CreateTime) may be anything:
it is limited to the present, unknown if it is not after 1970, and corrected by its neighbours (docs/decisions/0006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollups.model import Records

Milliseconds = NDArray[np.int64]  # since 1970

WINDOW = 101  # timestamps, of which the median counts
LATEST = 10_413_791_999_999  # the end of 2299, the last value of DateTime64(3) in ClickHouse
_CHUNK = 8192  # windows sorted at once, to bound the memory


@dataclass(frozen=True, slots=True)
class LogTimes:
    """Arrays over records, in ms: when each was taken in, and up to when the log had come by then; 0 is unknown.

    `settled` goes back only to the present: it is the maximum so far of timestamps of the broker and of medians over
    101 timestamps in a row. `after` is the clock for the records that follow.
    """

    taken_in: Milliseconds
    settled: Milliseconds
    after: LogClock


@dataclass(frozen=True, slots=True)
class LogClock:
    """How far the log of a partition has come: up to when, and its last 100 timestamps."""

    settled_ms: int
    window: Milliseconds

    @classmethod
    def at(cls, settled_ms: int) -> LogClock:
        """A clock of which only that time is known; 0 if not even that."""
        return cls(settled_ms, np.full(WINDOW - 1 if settled_ms else 0, settled_ms, np.int64))

    def read(self, records: Records, now_ms: int = LATEST) -> LogTimes:
        """The times of the records that follow, at least 0.

        At most `now_ms`, except timestamps of the broker in `taken_in`: a worker whose clock is behind must not see
        clicks in the future.
        """
        now_ms = min(now_ms, LATEST)
        appended = np.array(records.appended, np.bool_)
        stamps = np.array(records.log_times_ms, np.int64)
        taken_in = np.where(appended, stamps.clip(0, LATEST), stamps.clip(0, now_ms))
        series = _without_holes(np.concatenate([self.window, taken_in]))
        times = taken_in if appended.all() else np.where(appended, taken_in, _medians(series)[len(self.window) :])
        settled = np.maximum.accumulate(np.maximum(times, self.settled_ms)).clip(0, now_ms)
        taken_in = np.where(taken_in > 0, np.maximum(taken_in, settled), 0)
        last = int(settled[-1]) if len(settled) else self.settled_ms
        return LogTimes(taken_in, settled, LogClock(last, series[1 - WINDOW :]))


def _without_holes(series: Milliseconds) -> Milliseconds:
    """Replaces each unknown time by the last known one."""
    return series[np.maximum.accumulate(np.where(series > 0, np.arange(len(series)), 0))]


def _medians(series: Milliseconds) -> Milliseconds:
    """Medians of the last 101 values up to each. Of fewer values the lower median, and 0 of so few that a wrong one
    would not be outvoted."""
    medians = [np.sort(series[: end + 1])[end // 2] for end in range(min(len(series), WINDOW - 1))]
    parts = [np.array([0, 0, *medians[2:]][: len(medians)], np.int64)]
    if len(series) >= WINDOW:
        windows = np.lib.stride_tricks.sliding_window_view(series, WINDOW)
        chunks = (windows[start : start + _CHUNK] for start in range(0, len(windows), _CHUNK))
        parts += [np.partition(chunk, WINDOW // 2, axis=1)[:, WINDOW // 2] for chunk in chunks]
    return np.concatenate(parts)
