"""The producer's buffer: bounded, fair, and never without an answer."""

from __future__ import annotations

import asyncio
import time

import pytest

from ingest.buffer import Buffer, BufferFull, DeliveryFailed


def test_it_is_full_at_its_limit_and_not_before() -> None:
    async def fill() -> None:
        buffer = Buffer(2, 60)
        first, second = buffer.take_nowait(), buffer.take_nowait()
        with pytest.raises(BufferFull):
            buffer.take_nowait()
        buffer.delivered(first, 1)
        third = buffer.take_nowait()
        assert await first == 1
        assert len(buffer) == 2
        assert not second.done()
        assert not third.done()

    asyncio.run(fill())


def test_room_is_given_in_turn() -> None:
    async def wait() -> None:
        buffer = Buffer(3, 60)
        held = await buffer.take([1, 1, 1])
        two, one = asyncio.ensure_future(buffer.take([2])), asyncio.ensure_future(buffer.take([1]))
        await asyncio.sleep(0)
        buffer.delivered(held[0], None)
        await asyncio.sleep(0.01)
        assert not two.done()
        assert not one.done()  # it would fit, but came later
        buffer.delivered(held[1], None)
        buffer.delivered(held[2], None)
        await asyncio.gather(two, one)
        assert len(buffer) == 3

    asyncio.run(wait())


def test_more_than_it_holds_goes_into_an_empty_buffer() -> None:
    async def take() -> None:
        buffer = Buffer(2, 60)
        [held] = await buffer.take([1])
        many = asyncio.ensure_future(buffer.take([1, 4]))
        await asyncio.sleep(0.01)
        assert not many.done()
        buffer.delivered(held, None)
        assert (len(await many), len(buffer)) == (2, 5)

    asyncio.run(take())


def test_who_stops_waiting_takes_nothing() -> None:
    async def stop() -> None:
        buffer = Buffer(1, 60)
        [held] = await buffer.take([1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(buffer.take([1]), 0.01)
        buffer.delivered(held, None)
        assert len(buffer) == 0
        buffer.take_nowait()

    asyncio.run(stop())


def test_no_answer_in_time_is_a_failure() -> None:
    async def expire() -> None:
        buffer = Buffer(10, 0.1)
        expiry = asyncio.ensure_future(buffer.expire())
        started = time.monotonic()
        [silent, answered] = await buffer.take([3, 1])
        buffer.delivered(answered, None)
        with pytest.raises(DeliveryFailed, match=r"within 0\.1 s"):
            await silent
        assert 0.1 <= time.monotonic() - started < 0.5
        assert (buffer.failed, len(buffer)) == (3, 0)
        buffer.delivered(silent, None)  # the broker's answer after all: too late, and no error
        expiry.cancel()

    asyncio.run(expire())


def test_a_sender_that_no_longer_listens_is_no_failure() -> None:
    async def cancel() -> None:
        buffer = Buffer(1, 60)
        acknowledgement = buffer.take_nowait()
        acknowledgement.cancel()
        buffer.fail(acknowledgement, "x")
        assert (buffer.failed, len(buffer)) == (0, 0)

    asyncio.run(cancel())


def test_settled_waits_for_what_was_there() -> None:
    async def settle() -> None:
        buffer = Buffer(5, 60)
        await buffer.settled()
        first, second = await buffer.take([1, 1])
        waiting = asyncio.ensure_future(buffer.settled())
        await asyncio.sleep(0)
        buffer.delivered(first, None)
        await asyncio.sleep(0)
        assert not waiting.done()
        buffer.fail(second, "x")
        await waiting
        assert isinstance(second.exception(), DeliveryFailed)

    asyncio.run(settle())
