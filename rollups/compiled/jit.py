"""Compiles loops over columns with Numba, to run without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types
from numba.core.caching import InTreeCacheLocator

READ_U1, READ_I4, READ_U8 = (types.Array(kind, 1, "C", readonly=True) for kind in (types.u1, types.i4, types.u8))
U8, MASK = types.Array(types.u8, 1, "C"), types.Array(types.b1, 1, "C")


class CacheInPlace(InTreeCacheLocator):  # type: ignore[misc]
    """Code is cached beside the module, which need not be writable to read it. The image names this class in
    NUMBA_CACHE_LOCATOR_CLASSES."""

    def ensure_cache_path(self) -> None:
        """Numba's own tries to write."""


Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(signature: Any) -> Callable[[Function], Function]:
    """Compiles when the module is loaded, which takes a second. The code is cached beside the module or in the user's
    cache directory; if neither is writable, each start compiles again."""

    def with_signature(function: Function) -> Function:
        try:
            return njit(signature, nogil=True, cache=True)(function)  # type: ignore[no-any-return]
        except (RuntimeError, OSError):  # no writable cache
            return njit(signature, nogil=True)(function)  # type: ignore[no-any-return]

    return with_signature


def inlined(function: Function) -> Function:
    """For helpers of a compiled function."""
    return njit(inline="always")(function)  # type: ignore[no-any-return]
