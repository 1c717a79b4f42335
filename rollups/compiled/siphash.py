"""SipHash-2-4 over whole columns: a keyed 64-bit hash of each text.

Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). The same as `sipHash64Keyed` in ClickHouse.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import types
from numpy.typing import NDArray

from rollups.compiled.jit import READ_I4, READ_U1, U8, compiled, inlined

Hashes = NDArray[np.uint64]
State = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


def siphash(texts: pa.StringArray, key: tuple[int, int]) -> Hashes:
    """The hash of each text as UTF-8, keyed by two 64-bit numbers. A null has the hash of the empty text."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    hashes = np.empty(len(texts), np.uint64)
    _hash(data, offsets, np.uint64(key[0]), np.uint64(key[1]), hashes)
    return hashes


def siphash_rows(columns: list[Hashes], key: tuple[int, int]) -> Hashes:
    """The hash of each row over several columns of numbers, as their concatenated bytes."""
    rows = np.column_stack(columns)
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(8 * len(columns))
    hashes = np.empty(len(rows), np.uint64)
    _hash(rows.view(np.uint8).reshape(-1), offsets, np.uint64(key[0]), np.uint64(key[1]), hashes)
    return hashes


@inlined
def _rotated(word: np.uint64, left: int) -> np.uint64:
    return (word << np.uint64(left)) | (word >> np.uint64(64 - left))


@inlined
def _round(state: State) -> State:
    v0, v1, v2, v3 = state
    v0 += v1
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 += v3
    v3 = _rotated(v3, 16) ^ v2
    v0 += v3
    v3 = _rotated(v3, 21) ^ v0
    v2 += v1
    v1 = _rotated(v1, 17) ^ v2
    v2 = _rotated(v2, 32)
    return v0, v1, v2, v3


@inlined
def _absorbed(state: State, word: np.uint64) -> State:
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _round(_round((v0, v1, v2, v3 ^ word)))
    return v0 ^ word, v1, v2, v3


@compiled(types.void(READ_U1, READ_I4, types.u8, types.u8, U8))
def _hash(data: NDArray[np.uint8], offsets: NDArray[np.int32], k0: np.uint64, k1: np.uint64, hashes: Hashes) -> None:
    for row in range(len(hashes)):
        start, end = offsets[row], offsets[row + 1]
        state = (
            k0 ^ np.uint64(0x736F6D6570736575),
            k1 ^ np.uint64(0x646F72616E646F6D),
            k0 ^ np.uint64(0x6C7967656E657261),
            k1 ^ np.uint64(0x7465646279746573),
        )
        for at in range(start, end - 7, 8):
            word = np.uint64(0)
            for byte in range(8):
                word |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
            state = _absorbed(state, word)
        word = np.uint64(end - start) << np.uint64(56)
        for byte in range((end - start) % 8):
            word |= np.uint64(data[end - (end - start) % 8 + byte]) << np.uint64(8 * byte)
        v0, v1, v2, v3 = _absorbed(state, word)
        v0, v1, v2, v3 = _round(_round(_round(_round((v0, v1, v2 ^ np.uint64(0xFF), v3)))))
        hashes[row] = v0 ^ v1 ^ v2 ^ v3
