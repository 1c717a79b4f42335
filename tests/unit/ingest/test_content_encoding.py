"""Compressed bodies: decompressed whole, refused if invalid, and never larger than the limit."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable

import cramjam
import pyarrow as pa
import pytest

from ingest.content_encoding import decompress
from ingest.errors import HttpError

MAX_SIZE = 1_000_000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "zstd": lambda body: bytes(cramjam.zstd.compress(body)),
}
BODIES = [b"{}", os.urandom(MAX_SIZE), b"0" * MAX_SIZE]


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("body", BODIES, ids=["small", "random", "largest"])
def test_a_packed_body_is_unpacked(coding: str, body: bytes) -> None:
    assert decompress(PACKERS[coding](body), [f" {coding} "], MAX_SIZE) == body


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_one_behind_the_other_are_one_body(coding: str) -> None:
    pack = PACKERS[coding]
    assert decompress(pack(b"[1,") + pack(b"2]"), [coding], MAX_SIZE) == b"[1,2]"


@pytest.mark.parametrize("encodings", [[], [""], ["identity"], [" Identity"]])
def test_an_unpacked_body_is_what_it_is(encodings: list[str]) -> None:
    assert decompress(b"\x1f\x8b", encodings, MAX_SIZE) == b"\x1f\x8b"


@pytest.mark.parametrize(
    "encodings", [["br"], ["deflate"], ["gzip, zstd"], ["gzip", "gzip"], ["gzip;q=1"], ["x" * 9999]]
)
def test_another_coding_is_415(encodings: list[str]) -> None:
    with pytest.raises(HttpError, match="gzip, zstd") as refused:
        decompress(gzip.compress(b"{}"), encodings, MAX_SIZE)
    assert refused.value.status == 415


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_is_not_of_its_coding_is_400(coding: str) -> None:
    packed = PACKERS[coding](os.urandom(10_000))
    other = PACKERS["zstd" if coding == "gzip" else "gzip"](b"{}")
    half, garbage = packed[: len(packed) // 2], packed + b"garbage"
    for bad in (b"", b"{}", other, half, packed[:-1], garbage, b"\0" * 100):
        with pytest.raises(HttpError) as refused:
            decompress(bad, [coding], MAX_SIZE)
        assert refused.value.status == 400


def test_a_gzip_whose_checksum_is_wrong_is_400() -> None:
    packed = bytearray(gzip.compress(b"[1, 2, 3]"))
    packed[-6] ^= 1
    with pytest.raises(HttpError) as refused:
        decompress(bytes(packed), ["gzip"], MAX_SIZE)
    assert refused.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_byte_more_than_the_limit_is_413(coding: str) -> None:
    with pytest.raises(HttpError) as refused:
        decompress(PACKERS[coding](b"0" * (MAX_SIZE + 1)), [coding], MAX_SIZE)
    assert refused.value.status == 413


def bomb(coding: str) -> bytes:
    """Four gigabytes of zeros."""
    member = PACKERS[coding](b"\0" * 64_000_000)
    return member * 64


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_takes_time_and_memory_of_the_limit_only(coding: str) -> None:
    packed = bomb(coding)
    began, before = time.process_time(), pa.total_allocated_bytes()
    for _ in range(20):
        with pytest.raises(HttpError) as refused:
            decompress(packed, [coding], MAX_SIZE)
        assert refused.value.status == 413
    assert time.process_time() - began < 1.0
    assert pa.total_allocated_bytes() - before < 10 * MAX_SIZE


def test_a_bomb_with_a_large_window_touches_no_more_memory() -> None:
    """A zstd frame may declare a window of 128 MB, of which only written pages use memory."""
    head = b"\x28\xb5\x2f\xfd\x00\x88"  # no content size, window of 2^27 bytes
    block = (100_000 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"  # 100,000 times the same byte, more follow
    program = (
        "import resource, sys\n"
        "from ingest.content_encoding import HttpError, decompress\n"
        f"body = {head!r} + {block!r} * 40_000\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        f"    decompress(body, ['zstd'], {MAX_SIZE})\n"
        "except HttpError as error:\n"
        "    print(error.status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    status, kilobytes = done.stdout.split()
    assert status == "413"
    assert int(kilobytes) < 20_000
