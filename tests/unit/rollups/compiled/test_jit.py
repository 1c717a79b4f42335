"""Compiled code is cached for the next start if a cache is writable."""

from __future__ import annotations

import numpy as np
import pytest
from numba import types
from numba.core import caching

from rollups.compiled.jit import U8, compiled


def test_without_a_place_for_a_cache_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    @compiled(types.void(U8))
    def double(values: np.ndarray) -> None:
        for row in range(len(values)):
            values[row] *= np.uint64(2)

    values = np.array([1, 2, 2**63], np.uint64)
    double(values)
    assert values.tolist() == [2, 4, 0]
