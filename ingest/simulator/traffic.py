"""Simulated traffic: popular and rare links, returning users, bots, prefetches, and retries of events."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from ingest.event import Click
from ingest.in_flight import DeliveryTracker, Send
from ingest.simulator.world import BOTS, World, demo_catalog

__all__ = ["Traffic", "demo_catalog", "run_simulation", "simulate"]

_RETRIES = 0.01
_BOTS = 0.03
_PREFETCHES = 0.01
_PLACEMENT_ONLY = 0.1  # share of the clicks on links with a placement that come from the affiliate network
_RECENT = 50
_PEAK_HOUR = 20
_SWING = 0.6
_TICK = 0.02  # seconds between two bursts


class Traffic:
    """An endless stream of clicks, the same for equal seeds and times."""

    def __init__(self, seed: int) -> None:
        self._world = World(seed)
        self._draw = random.Random(seed)
        self._recent: deque[Click] = deque(maxlen=_RECENT)

    def click(self, at_ms: int) -> Click:
        """A new click at that time (Unix ms), or a retry of a recent one."""
        if self._recent and self._draw.random() < _RETRIES:
            return msgspec.structs.replace(self._draw.choice(self._recent))
        click = self._new(at_ms)
        self._recent.append(click)
        return msgspec.structs.replace(click)

    def _new(self, at_ms: int) -> Click:
        draw, world = self._draw, self._world
        link = draw.choices(world.links, cum_weights=world.cumulative_weights)[0]
        user = world.users[int(len(world.users) * draw.random() ** 2)]  # some come back often
        click = Click(at_ms, event_id=_event_id(draw, at_ms), country=user.country, method="GET")
        if link.placement:
            click.publisher_id, click.advertiser_id, click.network_id = link.placement
        if not link.placement or draw.random() >= _PLACEMENT_ONLY:
            click.account_id, click.domain, click.link_id = link.account_id, link.domain, link.link_id
        kind = draw.random()
        if kind < _BOTS:
            click.user_agent, click.ip = draw.choice(BOTS), "198.19.0.1"
            return click
        click.visitor_id, click.ip, click.user_agent = user.visitor_id, user.ip, user.user_agent
        if kind < _BOTS + _PREFETCHES / 2:
            click.purpose = "prefetch"
        elif kind < _BOTS + _PREFETCHES:
            click.method = "HEAD"
        return click


def _event_id(draw: random.Random, at_ms: int) -> str:
    """A UUIDv7 with random bits from the seed."""
    bits = draw.getrandbits(74)
    return str(uuid.UUID(int=at_ms << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (1 << 62) - 1))


def simulate(seed: int, start_ms: int, seconds: float, count: int) -> Iterator[Click]:
    """`count` clicks in order of time, within `seconds` from `start_ms` (Unix ms); most in the evening."""
    traffic = Traffic(seed)
    for at_ms in _times(random.Random(seed), start_ms, seconds, count):
        yield traffic.click(at_ms)


def _times(draw: random.Random, start_ms: int, seconds: float, count: int) -> Iterator[int]:
    """Times whose density follows the hour of the day (UTC), by inverting the cumulative density."""
    steps = max(1, math.ceil(seconds / 900))
    width_ms = seconds * 1000 / steps
    cumulative = [0.0, *accumulate(_density(start_ms + (step + 0.5) * width_ms) for step in range(steps))]
    for number in range(count):
        level = (number + draw.random()) / count * cumulative[-1]
        step = min(bisect_right(cumulative, level), steps) - 1
        part = (level - cumulative[step]) / (cumulative[step + 1] - cumulative[step])
        yield start_ms + int((step + part) * width_ms)


def _density(at_ms: float) -> float:
    hour = at_ms / 3_600_000 % 24
    return 1 + _SWING * math.cos((hour - _PEAK_HOUR) / 24 * 2 * math.pi)


@dataclass(frozen=True, slots=True)
class Sent:
    """Result of a simulation: the acknowledged events, and the seconds it took."""

    events: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.events:,} events in {self.seconds:.1f} s, {self.events / max(self.seconds, 1e-9):,.0f} events/s"


async def run_simulation(
    send: Send,
    *,
    seed: int,
    count: int | None,
    rate: float,
    progress: bool = True,
    clock: Callable[[], float] = time.time,
) -> Sent:
    """Sends clicks with the present time, `rate` a second, until `count` are sent (None: no end).

    `clock` gives Unix seconds for pace and click times. A `send` that waits slows the traffic down.
    """
    traffic, tracker, sent = Traffic(seed), DeliveryTracker(send), 0
    started = clock()
    with _bar(progress) as bar:
        task = bar.add_task("simulate", total=count)
        while count is None or sent < count:
            now = clock()
            due = int((now - started) * rate) + 1
            for _ in range(min(due, count or due) - sent):
                await tracker.send(traffic.click(int(now * 1000)))
                sent += 1
            bar.update(task, completed=sent)
            await asyncio.sleep(_TICK)
        await tracker.wait_settled()
    return Sent(sent, clock() - started)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} events/s")


def _bar(wanted: bool) -> Progress:
    console = Console(stderr=True)
    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not (wanted and console.is_terminal))
