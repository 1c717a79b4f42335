"""Dead letters: at most a few per record, and none that a topic refuses forever."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.event import MAX_RECORD_EVENTS, Click, decode_record
from ingest.event.addresses import AddressHasher
from rollups.delivery.dead_letters import RecordTooLarge, publish_dead_letters
from rollups.model import DeadLetter, FetchedBatch, FetchPosition, Reason, Records
from rollups.transform.decode import Decoded, dead_letters, decode
from rollups.transform.filters import classify
from tests.support import some
from tests.support.memory_log import LOG_TIME_MS, Record

GOOD = {"clicked_at": LOG_TIME_MS, "account_id": 1, "domain": "d.e", "link_id": "a"}
MANY = 10**9


def decoded(
    *values: object, most: int = MANY, poison: dict[int, str] | None = None
) -> tuple[Decoded, FetchedBatch | None]:
    raws = [value if isinstance(value, bytes | None) else json.dumps(value).encode() for value in values]
    records = [Record(offset, raw, LOG_TIME_MS, b"k") for offset, raw in enumerate(raws)]
    return decode(FetchedBatch(0, FetchPosition(0), 0, len(records), Records().add(records)), most, poison or {})


def letters(*values: object) -> list[DeadLetter]:
    found, rest = decoded(*values)
    assert rest is None
    classify(found, LOG_TIME_MS, 0)
    return dead_letters(found)


def test_items_of_a_record_beyond_a_few_share_a_letter_of_each_reason() -> None:
    late = GOOD | {"clicked_at": LOG_TIME_MS + 3_600_000}
    found = letters([1, GOOD] * 100, [late, {}] * 50)
    assert [(letter.offset, letter.index) for letter in found[:20]] == [(0, 2 * n) for n in range(20)]
    assert [(letter.offset, letter.index) for letter in found[21:41]] == [(1, n) for n in range(20)]
    shared = [found[20], *found[41:]]
    assert [(letter.offset, letter.reason, len(json.loads(letter.raw or b""))) for letter in shared] == [
        (0, Reason.INVALID, 80),
        (1, Reason.FUTURE, 40),
        (1, Reason.INVALID, 40),
    ]
    assert all(letter.index is None and "; the first: " in letter.message for letter in shared)


@given(st.lists(st.sampled_from([GOOD, 1, {}, {"clicked_at": "never"}, GOOD | {"clicked_at": 10**13}]), max_size=70))
def test_letters_hold_what_is_wrong_and_nothing_else(items: list[object]) -> None:
    wrong = [item for item in items if item != GOOD]
    held: list[object] = []
    for letter in letters(items):
        value = json.loads(letter.raw or b"")
        held += value if letter.index is None else [value]
    assert sorted(map(json.dumps, held)) == sorted(map(json.dumps, wrong))


def test_a_huge_array_of_nothing_is_one_letter_and_soon() -> None:
    started = time.monotonic()
    for value in (b"[" + b"1," * 8_000_000 + b"1]", b"[" + b'"",' * 1_000_000 + b"1]"):
        [letter] = letters(value)
        assert (letter.error, letter.raw, letter.index) == ("too_large", value, None)
    assert time.monotonic() - started < 10


def test_an_array_is_taken_apart_once_however_many_items_are_from_the_future() -> None:
    late = GOOD | {"clicked_at": LOG_TIME_MS + 7_200_000}
    started = time.monotonic()
    found = letters([late] * 8000)
    assert sum(len(json.loads(letter.raw or b"")) if letter.index is None else 1 for letter in found) == 8000
    assert time.monotonic() - started < 3  # 12 s when each item was looked for in the whole array


def test_a_worker_whose_clock_is_behind_takes_no_click_for_one_of_the_future() -> None:
    records = Records().add([Record(0, json.dumps(GOOD).encode(), LOG_TIME_MS)])  # with the broker's stamp
    behind_ms = LOG_TIME_MS - 7_200_000
    found, _ = decode(FetchedBatch(0, FetchPosition(0), 0, 1, records), MANY, {}, now_ms=behind_ms)
    classify(found, behind_ms, 0)
    assert dead_letters(found) == []
    assert found.rows.settled_ms.tolist() == [behind_ms], "as-of is never above what is known of the time"


def test_as_many_events_as_a_record_may_hold_are_counted_and_no_more() -> None:
    most = [GOOD] * MAX_RECORD_EVENTS
    assert all(isinstance(item, Click) for item in some(decode_record(json.dumps(most).encode())))
    found, _ = decoded([*most, GOOD])
    assert found.counts.tolist() == [1]
    assert [letter.error for letter in dead_letters(found)] == ["too_large"]


@pytest.mark.parametrize("most", [1, 2, 5, 6, 7, 11, 100])
def test_a_batch_is_cut_by_clicks_between_records(most: int) -> None:
    values = [[GOOD] * 5, GOOD, [1] * 3, GOOD, [GOOD] * 2]
    found, rest = decoded(*values, most=most)
    rows = len(found.rows)
    assert found.batch.start == 0
    assert rows >= min(most, 12)
    assert rows - int(found.counts[-1]) < most
    seen = list(found.batch.records.values)
    while rest is not None:
        columns = [column for column in vars(rest.records).values() if not isinstance(column, int)]
        assert {len(column) for column in columns} == {len(rest.records)}
        assert rest.start == found.batch.end
        found, rest = decode(rest, most, {})
        seen += found.batch.records.values
    assert seen == [json.dumps(value).encode() for value in values]
    assert found.batch.end == len(values)


def test_a_known_poison_is_not_looked_at() -> None:
    value = json.dumps([GOOD, GOOD]).encode()
    found, _ = decoded(GOOD, value, GOOD, poison={1: "ValueError: no"})
    assert found.counts.tolist() == [1, 1, 1]
    [letter] = dead_letters(found)
    assert (letter.offset, letter.error, letter.message, letter.raw) == (1, "undecodable", "ValueError: no", value)


class Topic:
    """Takes records up to a size."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = []

    async def send(self, key: bytes | None, value: bytes | None, headers: dict[str, bytes]) -> None:
        assert key is not None or value is not None  # the client would refuse it
        if len(key or b"") + len(value or b"") > self.most:
            raise RecordTooLarge
        self.taken.append((key, value, headers))


def published(topic: Topic, letter: DeadLetter) -> tuple[bytes | None, bytes | None, dict[str, bytes]]:
    asyncio.run(publish_dead_letters(topic.send, "clicks", 0, [letter]))
    [record] = topic.taken
    return record


@pytest.mark.parametrize("most", [20_000_000, 1_000_000, 40_000, 1000, 0])
def test_a_letter_is_cut_until_its_topic_takes_it(most: int) -> None:
    raw = b"x" * 18_000_000
    key, value, headers = published(Topic(most), DeadLetter(1, Reason.INVALID, "not_json", "m" * 9999, raw, 3, b"key"))
    assert raw.startswith(value or b"")
    assert len(value or b"") <= most
    assert headers["truncated"] == b"18000000"
    assert (headers["offset"], headers["index"], len(headers["message"])) == (b"1", b"3", 500)
    assert key == (b"key" if most >= 40_000 else None)


@pytest.mark.parametrize("key", [None, b"key", b"k" * 100_000])
def test_a_letter_without_bytes_is_published(key: bytes | None) -> None:
    found, value, headers = published(Topic(1000), DeadLetter(1, Reason.INVALID, "tombstone", "m", None, None, key))
    assert headers["error"] == b"tombstone"
    assert (found, value) == ((b"key", None) if key == b"key" else (None, b""))


def test_a_topic_that_takes_nothing_is_an_error() -> None:
    with pytest.raises(RecordTooLarge):
        asyncio.run(
            publish_dead_letters(
                Topic(-1).send, "clicks", 0, [DeadLetter(1, Reason.INVALID, "e", "m", b"x", None, None)]
            )
        )


def test_no_address_is_in_a_letter_and_all_else_is() -> None:
    addresses = AddressHasher("secret")
    raw = b'[{"clicked_at": 1, "ip": "192.0.2.1"}, {"ip": "::1", "user_agent": "a", "mine": [1.50]}]'
    letter = DeadLetter(7, Reason.FUTURE, "future", "too early", raw, None, b"key")
    for address in (b"192.0.2.1", b"::1"):
        raw = raw.replace(address, addresses.hash_address(address.decode()).encode())
    assert letter.hide_addresses(addresses) == replace(letter, raw=raw)
    assert letter.hide_addresses(AddressHasher("secret", keep=True)) == letter
    for other in (None, b"", b"\xff"):
        assert replace(letter, raw=other).hide_addresses(addresses).raw == other


def test_a_letter_that_its_hashes_make_too_large_is_cut() -> None:
    letter = DeadLetter(7, Reason.INVALID, "not_json", "m", b'{"ip":"1"},' * 1_400_000, None, b"key")
    topic = Topic(16 * 1024 * 1024)
    _, value, headers = published(topic, letter.hide_addresses(AddressHasher("secret")))
    assert int(headers["truncated"]) > len(value or b"") > 15_000_000
