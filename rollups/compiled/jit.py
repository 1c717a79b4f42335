"""Loops over columns as machine code that runs without the GIL, by Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types

READ_U1, READ_I4, READ_U8 = (types.Array(kind, 1, "C", readonly=True) for kind in (types.u1, types.i4, types.u8))
U8, MASK = types.Array(types.u8, 1, "C"), types.Array(types.b1, 1, "C")

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(signature: Any) -> Callable[[Function], Function]:
    """Compiles when the module is loaded, a second's work; the code is kept beside the module, or with the user's
    caches, for the next start. Where neither can be written to, it is compiled at each start."""

    def with_signature(function: Function) -> Function:
        try:
            return njit(signature, nogil=True, cache=True)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # there is no place for a cache
            return njit(signature, nogil=True)(function)  # type: ignore[no-any-return]

    return with_signature


def inlined(function: Function) -> Function:
    """For what a compiled function calls."""
    return njit(inline="always")(function)  # type: ignore[no-any-return]
