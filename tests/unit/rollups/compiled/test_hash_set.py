"""The set of hashes against Python's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollups.compiled.hash_set import HashSet

# Many want the same slot: the lower half of a hash says where it goes, and the last slots run over to the first.
edges = st.builds(lambda upper, lower: upper << 32 | lower, st.integers(0, 99), st.sampled_from([7, 2**32 - 1]))
hashes = st.integers(1, 2**64 - 1) | edges


@given(st.lists(st.tuples(st.lists(hashes, max_size=200), st.integers(0, 150)), max_size=5), st.lists(hashes))
def test_a_hash_set_holds_what_was_added_and_nothing_else(
    batches: list[tuple[list[int], int]], others: list[int]
) -> None:
    table, model = HashSet(), set[int]()
    for batch, room in batches:
        already, now = table.add(np.array(batch, np.uint64), room)
        most = len(model) + room
        for row, value in enumerate(batch):
            assert already[row] == (value in model)
            if len(model) < most:
                model.add(value)
            assert now[row] == (value in model)
        assert len(table) == len(model)
    asked = [*model, *others]
    assert table.contains(np.array(asked, np.uint64)).tolist() == [value in model for value in asked]


@given(st.lists(hashes, max_size=300))
def test_one_made_of_hashes_that_repeat_holds_each_once(values: list[int]) -> None:
    made = HashSet.from_hashes(np.array([*values, *values], np.uint64))
    assert len(made) == len(set(values))
    assert made.contains(np.array(values, np.uint64)).all()
