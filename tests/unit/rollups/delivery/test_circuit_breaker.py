"""The share of dead letters among the last records of a partition, for any batches."""

from __future__ import annotations

import pytest

from rollups.delivery.circuit_breaker import CircuitBreaker, release_faults
from rollups.model import DeadLetter, Reason


def taken(breaker: CircuitBreaker, start: int, count: int, dead: int, batch: int) -> str:
    """Applies records in batches, of which the last `dead` are dead letters; the first reason to trip."""
    for first in range(start, start + count, batch):
        offsets = list(range(first, min(first + batch, start + count)))
        poison = [offset for offset in offsets if offset >= start + count - dead]
        if reason := breaker.trip_reason(offsets, poison):
            return reason
        breaker.record(offsets, poison)
    return ""


@pytest.mark.parametrize("batch", [50, 1_000, 200_000])
def test_a_bad_release_stops_after_the_window_whatever_came_before(batch: int) -> None:
    assert taken(CircuitBreaker(0.5), 0, 200_000, 4_000, batch) == ""
    assert "of the last 10000 records are poison" in taken(CircuitBreaker(0.5), 0, 200_000, 9_000, batch)


def test_a_few_records_say_nothing() -> None:
    assert taken(CircuitBreaker(0.5), 0, 999, 999, 10) == ""
    assert taken(CircuitBreaker(0.5), 0, 1_000, 1_000, 10) != ""


def test_faults_of_visitors_stop_no_partition_and_those_of_a_release_do() -> None:
    letters = [
        DeadLetter(offset, Reason.INVALID, error, "", b"", None, None)
        for offset, error in enumerate(["text_too_long", "not_json", "too_large", "undecodable"])
    ]
    assert release_faults(letters) == [1, 3]


def test_a_batch_that_is_tried_again_counts_once() -> None:
    breaker = CircuitBreaker(0.5)
    for _ in range(100):
        assert breaker.trip_reason(list(range(100)), range(60)) == ""
