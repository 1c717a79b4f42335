"""Duplicates against a plain set, and what is forgotten when."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollups.dedupe import HashSet, SeenIds

ids = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([m for m, _ in pairs], np.int64), np.array([h for _, h in pairs], np.uint64)


@given(st.lists(ids, max_size=8))
def test_an_id_is_a_duplicate_from_its_second_time_on(batches: list[list[tuple[int, int]]]) -> None:
    seen, model = SeenIds(60), set[tuple[int, int]]()
    for batch in batches:
        minutes, hashes = arrays(batch)
        expected = []
        for minute, value in batch:
            pair = (minute, value or 1)  # 0 marks a free slot
            expected.append(pair in model)
            model.add(pair)
        repeated = seen.duplicates(minutes, hashes)
        assert repeated.tolist() == expected
        seen.add(minutes[~repeated], hashes[~repeated], 0)


@given(st.sets(st.integers(1, 2**64 - 1), max_size=500))
def test_a_hash_set_holds_what_was_added_and_nothing_else(values: set[int]) -> None:
    table = HashSet()
    half = np.array(sorted(values)[::2], np.uint64)
    table.add(half)
    everything = np.array(sorted(values), np.uint64)
    assert set(everything[table.contains(everything)].tolist()) == set(half.tolist())
    assert len(table) == len(half)


def test_what_was_looked_up_but_not_added_is_not_remembered() -> None:
    seen = SeenIds(60)
    minutes, hashes = arrays([(0, 5)])
    assert not seen.duplicates(minutes, hashes).any()
    assert not seen.duplicates(minutes, hashes).any()


def test_an_id_is_forgotten_once_the_log_is_past_the_horizon() -> None:
    seen = SeenIds(horizon_minutes=60)
    first, later = arrays([(0, 5)]), arrays([(100, 6)])
    seen.add(*first, log_minute=1000)
    seen.add(*later, log_minute=1060)
    assert seen.duplicates(*first).all(), "the horizon is measured by the log's time, not by the click's"
    seen.add(*arrays([(101, 7)]), log_minute=1061)
    assert not seen.duplicates(*first).any()
    assert seen.duplicates(*later).all()


def test_memory_per_id_is_bounded() -> None:
    seen = SeenIds(60)
    hashes = np.random.default_rng(1).integers(1, 2**63, 1_000_000).astype(np.uint64)
    for part in np.array_split(hashes, 20):
        seen.add(np.zeros(len(part), np.int64), part, 0)
    assert seen.nbytes / 1_000_000 <= 8 / 0.3
