"""Splitting a batch finds exactly its poison, in few tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollups.transform.isolation import Isolation

PARTITION = 3


def applied_and_left_out(records: int, poison: set[int]) -> tuple[list[int], list[int], int]:
    """Simulates a worker over offsets of which some fail; returns those applied, those left out, and the failures."""
    isolation, start, failures = Isolation(), 0, 0
    applied: list[int] = []
    left_out: list[int] = []
    while start < records:
        end = min(records, start + (isolation.most(PARTITION) or records))
        offsets = range(start, end)
        known = isolation.poison(PARTITION)
        if any(offset in poison and offset not in known for offset in offsets):
            failures += 1
            isolation.failed(PARTITION, start, end, offsets, "why")
            continue
        left_out += [offset for offset in offsets if offset in known]
        applied += [offset for offset in offsets if offset not in known]
        isolation.applied(PARTITION, end)
        start = end
    assert not isolation.suspected(PARTITION)
    return applied, left_out, failures


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=20))
def test_exactly_the_poison_is_left_out(records: int, poison: set[int]) -> None:
    poison = {offset for offset in poison if offset < records}
    applied, left_out, _ = applied_and_left_out(records, poison)
    assert set(left_out) == poison
    assert applied == [offset for offset in range(records) if offset not in poison]


def test_one_in_a_hundred_thousand_is_found_in_some_twenty_tries() -> None:
    _, left_out, failures = applied_and_left_out(100_000, {61_803})
    assert left_out == [61_803]
    assert failures < 40


def test_what_fails_once_is_tried_whole_again() -> None:
    isolation = Isolation()
    assert not isolation.failed(PARTITION, 0, 10, range(10), "why")
    assert isolation.most(PARTITION) is None
    isolation.applied(PARTITION, 10)
    assert not isolation.suspected(PARTITION)


def test_a_record_that_fails_as_a_dead_letter_too_was_not_the_cause() -> None:
    isolation = Isolation()
    for _ in range(3):
        isolation.failed(PARTITION, 7, 8, [7], "why")
    assert isolation.poison(PARTITION) == {7: "why"}
    assert not isolation.failed(PARTITION, 7, 8, [7], "the disk is full")
    assert isolation.poison(PARTITION) == {}
    assert not isolation.failed(PARTITION, 7, 8, [7], "the disk is full")
    assert isolation.poison(PARTITION) == {}  # it is tried as it is until it works
    isolation.applied(PARTITION, 8)
    assert not isolation.suspected(PARTITION)
