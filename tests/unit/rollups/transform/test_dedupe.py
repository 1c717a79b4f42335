"""The dedupe window against a plain model: known keys, forgotten keys, and keys that do not fit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollups.transform.dedupe import DedupeResult, DedupeWindow

HORIZON = 60
WIDTH = 30

Records = list[tuple[int, int, int]]  # (minute it was taken in, minute up to which the log has settled, key)


def settled(drawn: list[tuple[int, int, int]], since: int = 0) -> Records:
    """Of (minute, how far the log had not come, key): times may go back, and up to when it has settled may not."""
    records = []
    for minute, behind, key in drawn:
        since = max(since, minute - behind)
        records.append((minute, since, key))
    return records


drawn = st.lists(st.tuples(st.integers(0, 300), st.sampled_from([0, 0, 5, 120]), st.integers(1, 25)), max_size=60)
log = drawn.map(settled)


def take(memory: DedupeWindow, records: Records) -> DedupeResult:
    times = np.array([record[:2] for record in records], np.int64).reshape(-1, 2)
    return memory.check_and_add(times[:, 0], times[:, 1], np.array([key for _, _, key in records], np.uint64))


class Model:
    """One key at a time, with a set."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.newest = capacity, 0
        self.held: set[tuple[int, int]] = set()  # (generation, key)

    def take(self, minute: int, since: int, key: int) -> tuple[bool, bool]:
        """(known, kept)"""
        now = since - since % WIDTH
        generation = max(minute - minute % WIDTH, now, self.newest)
        window = [(g, k) for g, k in self.held if g >= now - 2 * WIDTH]
        known = any(k == key for _, k in window)
        if (generation, key) in self.held:
            return known, True
        if len(window) >= self.capacity:
            return known, False
        self.held.add((generation, key))
        self.newest = generation
        return known, True


def cut(records: Records, sizes: list[int]) -> list[Records]:
    batches = []
    for size in sizes:
        batches.append(records[:size])
        records = records[size:]
    return [*batches, records]


@given(log, st.lists(st.integers(0, 20), max_size=8), st.sampled_from([1000, 7, 3, 1]))
def test_decisions_are_those_of_the_model_however_the_log_is_cut(
    records: Records, sizes: list[int], capacity: int
) -> None:
    memory, model = DedupeWindow(HORIZON, capacity), Model(capacity)
    expected = [model.take(*record) for record in records]
    decided: list[tuple[bool, bool]] = []
    for batch in cut(records, sizes):
        taken = take(memory, batch)
        decided += zip(taken.known.tolist(), taken.kept.tolist(), strict=True)
    assert decided == expected
    assert len(memory) <= capacity


@given(log, drawn, st.lists(st.integers(0, 20), max_size=8), st.sampled_from([1000, 7, 3, 1]))
def test_a_memory_restored_from_what_was_fresh_decides_alike(
    before: Records, drawn: list[tuple[int, int, int]], sizes: list[int], capacity: int
) -> None:
    memory, restored = DedupeWindow(HORIZON, capacity), DedupeWindow(HORIZON, capacity)
    seen: dict[int, list[np.ndarray]] = {}
    for batch in cut(before, sizes):
        for generation, keys in take(memory, batch).fresh:
            seen.setdefault(generation, []).extend([keys, keys])  # a replay may have written them twice
    since = before[-1][1] if before else 0
    restored.restore({generation: np.concatenate(keys) for generation, keys in seen.items()}, since)
    assert len(restored) <= len(memory)
    batches = cut(settled(drawn, since), sizes)
    for batch in batches:
        one, two = take(memory, batch), take(restored, batch)
        assert one.known.tolist() == two.known.tolist()
        assert one.kept.tolist() == two.kept.tolist()


def test_a_key_is_known_for_the_horizon_and_no_longer_than_half_as_long_again() -> None:
    for minute in range(WIDTH):
        for age in (0, HORIZON, HORIZON + WIDTH):
            memory = DedupeWindow(HORIZON, 1000)
            take(memory, [(minute, minute, 5)])
            assert take(memory, [(minute + age,) * 2 + (5,)]).known[0] == (age <= HORIZON), (minute, age)


def test_a_time_that_runs_ahead_makes_nothing_forgotten() -> None:
    memory = DedupeWindow(HORIZON, 1000)
    take(memory, [(0, 0, 5), (900, 0, 6), (1, 1, 7)])
    assert take(memory, [(2, 2, 5), (2, 2, 6), (2, 2, 7)]).known.all()
    assert not take(memory, [(1200, 1200, 5)]).known[0]


def test_a_time_that_lags_makes_nothing_forgotten() -> None:
    memory = DedupeWindow(HORIZON, 1000)
    take(memory, [(900, 0, 5)])
    assert take(memory, [(901, 900, 5)]).known[0]
    take(memory, [(0, 900, 6)])
    assert take(memory, [(901, 950, 6)]).known[0]


def test_what_is_delivered_again_is_known_for_longer() -> None:
    memory = DedupeWindow(HORIZON, 1000)
    known = [bool(take(memory, [(minute, minute, 5)]).known[0]) for minute in range(0, 600, 60)]
    assert known == [False] + [True] * 9


def test_memory_per_key_is_bounded() -> None:
    memory = DedupeWindow(60, 10_000_000)
    keys = np.random.default_rng(1).integers(1, 2**63, 1_000_000).astype(np.uint64)
    for part in np.array_split(keys, 20):
        memory.check_and_add(np.zeros(len(part), np.int64), np.zeros(len(part), np.int64), part)
    assert memory.nbytes / 1_000_000 <= 8 / 0.5
