"""Dead letters as read back: one for each origin, even if a replay repeated some."""

from __future__ import annotations

from dataclasses import dataclass

from rollups.delivery.dead_letters import REPLAYED, PublishedDeadLetters


@dataclass
class Record:
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int = 1
    key: bytes | None = b"key"


def letter(offset: int, raw: bytes | None, reason: str = "invalid", index: int | None = None) -> Record:
    headers = {"topic": "clicks", "partition": "3", "offset": str(offset), "reason": reason, "error": "not_json"}
    if index is not None:
        headers["index"] = str(index)
    return Record(raw, [(name, text.encode()) for name, text in headers.items()])


def read(*records: Record) -> PublishedDeadLetters:
    letters = PublishedDeadLetters()
    for record in records:
        letters.add(record)
    return letters


def test_letters_of_one_origin_are_one() -> None:
    letters = read(letter(1, b"{"), letter(1, b"{"), letter(1, b"{", index=0), letter(2, None, "future"))
    assert [one.origin for one in letters.open()] == ["clicks/3/1", "clicks/3/1[0]", "clicks/3/2"]
    assert {one.key for one in letters.open()} == {b"key"}
    assert [one.reason for one in letters.open(["future"])] == ["future"]


def test_the_same_offset_of_a_topic_that_was_made_again_is_another_letter() -> None:
    assert len({one.id for one in read(letter(1, b"{"), letter(1, b"[")).open()}) == 2


def test_of_a_long_letter_the_beginning_may_be_kept() -> None:
    letters = PublishedDeadLetters(most=3)
    for record in (letter(1, b"[1, 2]"), letter(2, None)):
        letters.add(record)
    assert [(one.raw, one.size) for one in letters.open()] == [(b"[1,", 6), (None, 0)]
    assert [one.id for one in letters.open()][:1] == [one.id for one in read(letter(1, b"[1, 2]")).open()]


def test_a_replayed_letter_is_not_open_and_stays_so() -> None:
    [one] = read(letter(1, b"{")).open()
    note = Record(None, [(REPLAYED, one.id.encode())])
    assert read(letter(1, b"{"), note, letter(1, b"{")).open() == []


def test_what_is_no_letter_is_passed_over() -> None:
    assert read(Record(b"x", []), Record(b"x", [("reason", b"a"), ("partition", b"one")])).open() == []
