"""Decoding by columns decides as `decode_record` does for single values, in any batch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.event import MAX_ID, Click, Rejected, clicked_at_ms, decode_record
from ingest.event.validation import LATEST_MS, MAX_DOMAIN
from rollups.model import FetchedBatch, FetchPosition, Reason, Records
from rollups.transform.decode import Decoded, dead_letters, decode
from tests.support.memory_log import LOG_TIME_MS, Record
from tests.unit.ingest.event.test_codec import AFFILIATE, FAULTS, GOOD

MANY = 1_000_000
slashes = "vvd.bz" + "/" * MAX_DOMAIN
lengths = ["ü" * 70, "d" * (MAX_DOMAIN + 1), "d" * (MAX_DOMAIN - 5), "İ" * 151]
texts = st.sampled_from([None, "", "a", "HTTPS://VVD.bz/", slashes, "two words", *lengths, 1])
numbers = st.sampled_from([None, 0, 1, 7, -1, MAX_ID, MAX_ID + 1, 2**70, "1", 1.5])
moments = [1, LATEST_MS, LATEST_MS + 1, -1, "2026-01-01T00:00:00.0006Z", "2026-01-01T00:00:00", 2**65, None]
fields: dict[str, Any] = {
    **dict.fromkeys(("event_id", "domain", "link_id", "visitor_id", "ip", "user_agent"), texts),
    **dict.fromkeys(("account_id", *AFFILIATE), numbers),
    "clicked_at": st.sampled_from(moments),
}
changes = st.fixed_dictionaries({}, optional=fields)
events = changes.map(lambda changed: GOOD | changed) | changes.map(lambda changed: GOOD | AFFILIATE | changed) | changes
items = (events | st.lists(events, max_size=3)).map(lambda value: json.dumps(value).encode())
values = st.none() | st.binary(max_size=5) | items


def decoded(records: list[Record], end: int = 0) -> Decoded:
    found, rest = decode(FetchedBatch(0, FetchPosition(0), 0, max(end, len(records)), Records().add(records)), MANY, {})
    assert rest is None
    return found


@given(st.lists(values, max_size=6), st.integers(0, 9))
def test_a_batch_is_its_records_one_by_one(raws: list[bytes | None], end: int) -> None:
    found = decoded([Record(offset, raw, LOG_TIME_MS + offset, b"k") for offset, raw in enumerate(raws)], end)
    rows, expected = found.rows, [(at, item) for at, raw in enumerate(raws) for item in decode_record(raw)]
    missing = max(0, end - len(raws))
    gap = [end - 1] * bool(missing)
    assert rows.offsets.tolist() == [offset for offset, _ in expected] + gap
    assert rows.records.sum() == max(end, len(raws))
    dead = dead_letters(found)
    assert [letter.raw for letter in dead] == [item.raw for _, item in expected if isinstance(item, Rejected)]
    assert [(letter.offset, letter.error, letter.message, letter.index) for letter in dead] == [
        (at, item.fault.value, item.message, item.index) for at, item in expected if isinstance(item, Rejected)
    ]
    for row, (offset, item) in enumerate(expected):
        assert rows.log_time_ms[row] == LOG_TIME_MS + offset
        if isinstance(item, Rejected):
            assert rows.reasons[row] == Reason.INVALID
            assert rows.columns.account_id[row] == rows.columns.publisher_id[row] == 0
        else:
            assert rows.reasons[row] == Reason.COUNTED
            assert_same(found, row, item)


def assert_same(found: Decoded, row: int, click: Click) -> None:
    fields = found.rows.columns
    assert fields.clicked_ms[row] == clicked_at_ms(click)
    for name in ("account_id", "publisher_id", "advertiser_id", "network_id"):
        assert getattr(fields, name)[row] == (getattr(click, name) or 0)
    for name in ("domain", "link_id", "event_id", "visitor_id"):
        assert (getattr(fields, name)[row].as_py() or "") == (getattr(click, name) or "")
    for name in ("ip", "user_agent", "method", "purpose"):
        assert getattr(fields, name)[row].as_py() == getattr(click, name)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_among_good_clicks(fault: str) -> None:
    good = json.dumps(GOOD).encode()
    for value in FAULTS[fault]:  # type: ignore[index]
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        found = decoded([Record(0, good), Record(1, raw), Record(2, good)])
        assert found.rows.reasons.tolist() == [Reason.COUNTED, Reason.INVALID, Reason.COUNTED]
        assert [(letter.offset, letter.error, letter.raw) for letter in dead_letters(found)] == [(1, fault, raw)]


def test_a_batch_without_records_is_a_gap() -> None:
    rows = decoded([], 5).rows
    assert (rows.offsets.tolist(), rows.records.tolist(), rows.reasons.tolist()) == ([4], [5], [Reason.GAP])
