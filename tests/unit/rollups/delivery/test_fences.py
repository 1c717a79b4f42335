"""The epochs that fences carry: each is above all earlier ones, and no two claims have the same."""

from __future__ import annotations

import pytest

from rollups.delivery.fences import next_epoch


@pytest.mark.parametrize("counter", [0, 1, 4095, 4096, 2**43])
def test_an_epoch_is_above_those_of_earlier_versions(counter: int) -> None:
    earlier = (counter << 20) | 0xF_FFFF  # they had 20 random bits
    assert earlier < next_epoch(earlier) < 2**64


def test_epochs_grow_and_two_claimers_of_one_counter_differ() -> None:
    epoch = 0
    for _ in range(10):
        assert next_epoch(epoch) > epoch
        epoch = next_epoch(epoch)
    assert len({next_epoch(epoch) & 0xFFFF_FFFF for _ in range(2000)}) >= 1999
