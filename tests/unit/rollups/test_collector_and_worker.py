"""The worker decodes what the collector accepts to the same clicks, for generated bodies."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.collector import parse_body
from ingest.event import MAX_EVENT_ID, MAX_ID, MAX_LINK_ID, MAX_VISITOR_ID, Click, clicked_at_ms, decode_record
from ingest.event.validation import LATEST_MS, MAX_DOMAIN
from ingest.kafka.records import RecordPacker
from rollups.model import FetchedBatch, FetchPosition, Reason, Records
from rollups.settings import Settings
from rollups.transform.decode import decode
from tests.support import some
from tests.support.memory_log import Record
from tests.unit.ingest.event.test_codec import AFFILIATE, GOOD

PACKER = RecordPacker(Settings(visitor_secret="secret of the tests"))


def around(most: int) -> st.SearchStrategy[str]:
    """Texts about as long as is allowed, of characters that lengthen when they are lowered, escaped or encoded."""
    return st.builds(lambda text, size: text * (size // len(text)), st.sampled_from("dİß漢\U0001f600\0 "), size(most))


def size(most: int) -> st.SearchStrategy[int]:
    return st.integers(most - 12, most + 2) | st.integers(most // 2 - 5, most // 2 + 5) | st.integers(0, 5)


texts: dict[str, Any] = {
    "event_id": around(MAX_EVENT_ID),
    "visitor_id": around(MAX_VISITOR_ID),
    "link_id": around(MAX_LINK_ID),
    "domain": around(MAX_DOMAIN) | around(MAX_DOMAIN - 8).map(lambda text: f"http://{text}") | st.text(max_size=9),
    **dict.fromkeys(("ip", "user_agent", "referrer", "country", "method", "purpose"), st.none() | st.text(max_size=9)),
}
moments = st.integers(0, LATEST_MS) | st.datetimes().map(lambda at: f"{at.isoformat()}Z") | st.just(LATEST_MS + 1)
numbers = st.integers(1, MAX_ID) | st.sampled_from([0, MAX_ID + 1])
changes = st.fixed_dictionaries(
    {}, optional={**texts, "clicked_at": moments, "id_assigned": st.booleans(), **dict.fromkeys(AFFILIATE, numbers)}
)

events = changes.map(lambda changed: GOOD | changed) | changes.map(lambda changed: GOOD | AFFILIATE | changed)
bodies = st.lists(events, min_size=1, max_size=5).map(lambda found: json.dumps(found).encode())


@given(bodies)
def test_what_the_collector_takes_the_worker_takes_as_the_same(body: bytes) -> None:
    clicks, _ = parse_body(body, "application/json", LATEST_MS)
    taken = [msgspec.structs.replace(click) for click in clicks]
    values = [record.value for record in PACKER.pack_many(clicks, 1)]
    records = [Record(offset, value) for offset, value in enumerate(values)]
    found, _ = decode(FetchedBatch(0, FetchPosition(0), 0, len(records), Records().add(records)), len(clicks) + 1, {})
    assert found.problems == {}
    assert found.rows.reasons.tolist() == [Reason.COUNTED] * len(taken)
    again = [item for value in values for item in decode_record(value)]
    columns = found.rows.columns
    for row, click in enumerate(taken):
        assert isinstance(again[row], Click)
        assert columns.clicked_ms[row] == clicked_at_ms(click)
        assert columns.domain[row].as_py() == click.domain == again[row].domain  # type: ignore[union-attr]
        assert columns.event_id[row].as_py() == (click.event_id or again[row].event_id)  # type: ignore[union-attr]
        assert columns.id_assigned[row] == (click.id_assigned or not click.event_id)
        for name in ("link_id", "visitor_id", "user_agent", "method", "purpose"):
            assert getattr(columns, name)[row].as_py() == getattr(click, name)


@pytest.mark.parametrize("length", range(MAX_DOMAIN - 10, MAX_DOMAIN + 3))
def test_the_collector_says_what_the_worker_would(length: int) -> None:
    for domain in ("d" * length, "https://" + "d" * (length - 8), "İ" * (length // 2 - 4)):
        body = json.dumps(GOOD | {"domain": domain}).encode()
        clicks, rejected = parse_body(body, "application/json", LATEST_MS)
        assert len(clicks) + len(rejected) == 1
        assert all(isinstance(item, Click) for click in clicks for item in some(decode_record(PACKER.pack(click)[1])))


def test_an_event_that_is_too_large_is_named_beside_good_ones() -> None:
    items = [GOOD, GOOD | {"referrer": "r" * 300_000}, GOOD | {"unknown": "x" * 300_000}]
    clicks, [rejected] = parse_body(json.dumps(items).encode(), "application/json", LATEST_MS)
    assert len(clicks) == 2
    assert (rejected["index"], rejected["reason"], rejected["error"]) == (1, "invalid", "too_large")
