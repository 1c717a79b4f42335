"""How often a key and an account may call, for all API processes together if they share a Redis.

Fixed windows, counted by the `limits` library; docs/decisions/0011-limits.md says what happens while Redis is away.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from starlette.requests import Request

from api.counters import Counters
from api.errors import RateLimited
from api.plans import Plan
from ingest.settings import Settings

_LISTINGS = "/api/link-group/"  # calls of an account that are no statistics


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a window that ends at `reset`, in seconds since 1970."""

    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class Limits:
    def __init__(self, settings: Settings) -> None:
        self._on = settings.rate_limits == "on"
        self._per_hour = settings.requests_per_hour
        self._counters = Counters(settings.redis_url)

    async def count_key(self, request: Request, key_id: str, per_hour: int | None) -> None:
        """Counts a call of a key, and leaves its allowance in the state of the request, for the headers of the answer.

        Raises RateLimited. `per_hour` is the key's own limit, None for that of the settings.
        """
        if not self._on:
            return
        limit = RateLimitItemPerHour(per_hour or self._per_hour)
        allowed, left, reset = await self._counters.hit(limit, "key", key_id)
        request.state.allowance = Allowance(limit.amount, left, math.ceil(reset))
        if not allowed:
            raise RateLimited(f"This key may make {limit.amount} requests an hour; wait for the next.", _wait(reset))

    @asynccontextmanager
    async def statistics(self, request: Request, account_id: int, plan: Plan) -> AsyncIterator[None]:
        """Counts a call of an account and holds one of its places for as long as the call lasts.

        Raises RateLimited if the plan allows no more calls in this minute or hour, or no more at once.
        """
        if not self._on:
            yield
            return
        listing = request.url.path.startswith(_LISTINGS)
        per_minute = RateLimitItemPerMinute(plan.per_minute)
        statistics = RateLimitItemPerMinute(plan.statistics_per_minute)
        await self._count_account(RateLimitItemPerHour(plan.per_hour), "calls", account_id, plan, "an hour")
        await self._count_account(per_minute, "calls", account_id, plan, "a minute")
        if listing or not plan.concurrent_statistics:  # a plan without statistics is refused by the call itself
            yield
            return
        await self._count_account(statistics, "statistics", account_id, plan, "a minute for statistics")
        async with self._counters.place(f"statistics/{account_id}", plan.concurrent_statistics) as free:
            if not free:
                at_once = f"{plan.concurrent_statistics} at once"
                raise RateLimited(f"The {plan.name} plan answers statistics {at_once}; wait for one to end.", 1)
            yield

    async def close(self) -> None:
        await self._counters.close()

    async def _count_account(self, limit: RateLimitItem, what: str, account_id: int, plan: Plan, span: str) -> None:
        allowed, _, reset = await self._counters.hit(limit, "account", str(account_id), what)
        if not allowed:
            raise RateLimited(f"The {plan.name} plan allows {limit.amount} calls {span}.", _wait(reset))


def _wait(reset: float) -> int:
    return max(1, math.ceil(reset - time.time()))
