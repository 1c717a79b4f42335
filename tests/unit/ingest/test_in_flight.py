"""Clicks in flight: bounded, fair, and always resolved."""

from __future__ import annotations

import asyncio
import time

import pytest

from ingest.in_flight import BufferFull, DeliveryFailed, InFlight


def test_it_is_full_at_its_limit_and_not_before() -> None:
    async def fill() -> None:
        in_flight = InFlight(2, 60)
        first, second = in_flight.reserve_nowait(), in_flight.reserve_nowait()
        with pytest.raises(BufferFull):
            in_flight.reserve_nowait()
        in_flight.acknowledge(first, 1)
        third = in_flight.reserve_nowait()
        assert await first == 1
        assert len(in_flight) == 2
        assert not second.done()
        assert not third.done()

    asyncio.run(fill())


def test_room_is_given_in_turn() -> None:
    async def wait() -> None:
        in_flight = InFlight(3, 60)
        held = await in_flight.reserve([1, 1, 1])
        two, one = asyncio.ensure_future(in_flight.reserve([2])), asyncio.ensure_future(in_flight.reserve([1]))
        await asyncio.sleep(0)
        in_flight.acknowledge(held[0], None)
        await asyncio.sleep(0.01)
        assert not two.done()
        assert not one.done()  # it fits, but came later
        in_flight.acknowledge(held[1], None)
        in_flight.acknowledge(held[2], None)
        await asyncio.gather(two, one)
        assert len(in_flight) == 3

    asyncio.run(wait())


def test_more_than_it_holds_goes_into_an_empty_one() -> None:
    async def take() -> None:
        in_flight = InFlight(2, 60)
        [held] = await in_flight.reserve([1])
        many = asyncio.ensure_future(in_flight.reserve([1, 4]))
        await asyncio.sleep(0.01)
        assert not many.done()
        in_flight.acknowledge(held, None)
        assert (len(await many), len(in_flight)) == (2, 5)

    asyncio.run(take())


def test_who_stops_waiting_takes_nothing() -> None:
    async def stop() -> None:
        in_flight = InFlight(1, 60)
        [held] = await in_flight.reserve([1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_flight.reserve([1]), 0.01)
        in_flight.acknowledge(held, None)
        assert len(in_flight) == 0
        in_flight.reserve_nowait()

    asyncio.run(stop())


def test_no_answer_in_time_is_a_failure() -> None:
    async def expire() -> None:
        in_flight = InFlight(10, 0.1)
        expiry = asyncio.ensure_future(in_flight.run_expiry())
        started = time.monotonic()
        [silent, answered] = await in_flight.reserve([3, 1])
        in_flight.acknowledge(answered, None)
        with pytest.raises(DeliveryFailed, match=r"within 0\.1 s"):
            await silent
        assert 0.1 <= time.monotonic() - started < 0.5
        assert (in_flight.failed, len(in_flight)) == (3, 0)
        in_flight.acknowledge(silent, None)  # the late acknowledgement of the broker is no error
        expiry.cancel()

    asyncio.run(expire())


def test_a_sender_that_no_longer_listens_is_no_failure() -> None:
    async def cancel() -> None:
        in_flight = InFlight(1, 60)
        acknowledgement = in_flight.reserve_nowait()
        acknowledgement.cancel()
        in_flight.fail(acknowledgement, "x")
        assert (in_flight.failed, len(in_flight)) == (0, 0)

    asyncio.run(cancel())


def test_wait_settled_waits_for_what_was_there() -> None:
    async def settle() -> None:
        in_flight = InFlight(5, 60)
        await in_flight.wait_settled()
        first, second = await in_flight.reserve([1, 1])
        waiting = asyncio.ensure_future(in_flight.wait_settled())
        await asyncio.sleep(0)
        in_flight.acknowledge(first, None)
        await asyncio.sleep(0)
        assert not waiting.done()
        in_flight.fail(second, "x")
        await waiting
        assert isinstance(second.exception(), DeliveryFailed)

    asyncio.run(settle())
