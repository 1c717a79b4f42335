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
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric
from starlette.requests import Request

from api.access.counters import LimitStorage
from api.access.plans import Plan
from api.http.errors import RateLimited
from api.settings import Settings


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
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


class RateLimiter:
    def __init__(self, settings: Settings, registry: CollectorRegistry | None = None) -> None:
        self._on = settings.rate_limits == "on"
        self._per_hour = settings.requests_per_hour
        alone = Metric(
            "clickmill_limits_counted_alone",
            "Calls counted by this process alone while Redis was away",
            registry=registry or CollectorRegistry(),
        )
        self._storage = LimitStorage(settings.redis_url, alone.inc)

    async def count_key(self, request: Request, key_id: str, per_hour: int | None) -> None:
        """Counts a call of a key, and leaves its status in the state of the request, for the headers of the answer.

        Raises RateLimited. `per_hour` is the key's own limit, None for that of the settings.
        """
        if not self._on:
            return
        limit = RateLimitItemPerHour(per_hour or self._per_hour)
        allowed, left, reset = await self._storage.hit(limit, "key", key_id)
        request.state.rate_limit = RateLimitStatus(limit.amount, left, math.ceil(reset))
        if not allowed:
            raise RateLimited(f"This key may make {limit.amount} requests an hour; wait for the next.", _wait(reset))

    async def count_account(self, account_id: int, plan: Plan) -> None:
        """Counts a call of an account. Raises RateLimited if its plan allows no more in this minute or hour."""
        await self._count(RateLimitItemPerHour(plan.per_hour), "calls", account_id, plan, "an hour")
        await self._count(RateLimitItemPerMinute(plan.per_minute), "calls", account_id, plan, "a minute")

    @asynccontextmanager
    async def statistics(self, account_id: int, plan: Plan) -> AsyncIterator[None]:
        """Counts a statistics call besides, and holds one of the account's slots for as long as the call lasts.

        Raises RateLimited if the plan allows no more statistics calls in this minute, or no more at once.
        """
        if not self._on:
            yield
            return
        limit = RateLimitItemPerMinute(plan.statistics_per_minute)
        await self._count(limit, "statistics", account_id, plan, "a minute for statistics")
        async with self._storage.acquire_slot(f"statistics/{account_id}", plan.concurrent_statistics) as free:
            if not free:
                at_once = f"{plan.concurrent_statistics} at once"
                raise RateLimited(f"The {plan.name} plan answers statistics {at_once}; wait for one to end.", 1)
            yield

    async def close(self) -> None:
        await self._storage.close()

    async def _count(self, limit: RateLimitItem, what: str, account_id: int, plan: Plan, span: str) -> None:
        if not self._on:
            return
        allowed, _, reset = await self._storage.hit(limit, "account", str(account_id), what)
        if not allowed:
            raise RateLimited(f"The {plan.name} plan allows {limit.amount} calls {span}.", _wait(reset))


def _wait(reset: float) -> int:
    return max(1, math.ceil(reset - time.time()))
