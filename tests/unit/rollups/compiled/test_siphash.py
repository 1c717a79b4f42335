"""The columnar SipHash is ClickHouse's, and the paper's."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rollups.clickhouse import ClickHouse
from rollups.compiled.siphash import siphash

KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)


def test_the_vectors_of_the_paper() -> None:
    """Appendix A: the key 00 01 … 0f, and the input 00 01 … 0e."""
    texts = pa.array(["", "".join(map(chr, range(15)))])
    assert [f"{value:x}" for value in siphash(texts, KEY).tolist()] == ["726fdb47dd0e0e31", "a129ca6149be45e5"]


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(0, 3), st.integers(0, 2**64 - 1))
def test_clickhouse_hashes_alike(engine: ClickHouse, texts: list[str], skipped: int, key: int) -> None:
    """Over slices of columns too, whose offsets do not start at 0."""
    column = pa.array(texts, pa.string()).slice(skipped)
    rows = engine.query(
        "SELECT sipHash64Keyed((toUInt64({a:String}), toUInt64({b:String})), arrayJoin({texts:Array(String)}))",
        {"a": str(key), "b": str(key ^ 7), "texts": list(texts[skipped:])},
    )
    assert siphash(column, (key, key ^ 7)).tolist() == [value for (value,) in rows]
