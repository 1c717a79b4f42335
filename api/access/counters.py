"""Counts of calls: in Redis for all processes, in this process otherwise and while Redis is away."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

REDIS_TIMEOUT_SECONDS = 0.25  # for Redis, which answers in well under a millisecond
AWAY_SECONDS = 2.0  # that Redis is left alone after a failure, so that no request waits for it meanwhile
SLOT_SECONDS = 120  # after which the slot of a process that died is free again; no call lasts that long
SWEEP_SECONDS = 60.0
_PREFIX = "clickmill"
_CONNECTIONS = 64

# Places that are taken, by when their lease ends, on the clock of Redis.
_TAKE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

Answer = TypeVar("Answer")


class _LocalCounts(MemoryStorage):
    """For one event loop. The library looks for windows that have ended at each call, which with 10,000 keys costs more
    than the rest of a request; here that is done now and then."""

    _sweep_at = 0.0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        now = time.time()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            for ended in [each for each, end in self.expirations.items() if end <= now]:
                await self.clear(ended)
        if self.expirations.get(key, 0.0) <= now:
            self.storage[key], self.expirations[key] = 0, now + expiry
        self.storage[key] += amount
        return self.storage[key]


class LimitStorage:
    """For one event loop. With an empty URL everything is counted in this process; `on_alone` is called when something
    is although there is a Redis."""

    def __init__(self, redis_url: str, on_alone: Callable[[], None]) -> None:
        self._on_alone = on_alone
        self._local = FixedWindowRateLimiter(_LocalCounts())
        self._taken: Counter[str] = Counter()
        self._redis: Redis | None = None
        self._away_until = 0.0
        if redis_url:
            pool = BlockingConnectionPool.from_url(
                redis_url,
                max_connections=_CONNECTIONS,
                timeout=REDIS_TIMEOUT_SECONDS,
                socket_timeout=REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            self._redis = Redis(connection_pool=pool)
            storage = RedisStorage(
                redis_url,
                implementation="redispy",
                key_prefix=_PREFIX,
                connection_pool=pool,  # type: ignore[arg-type]
            )
            self._shared = FixedWindowRateLimiter(storage)
            self._take = self._redis.register_script(_TAKE)

    async def hit(self, limit: RateLimitItem, *identity: str) -> tuple[bool, int, float]:
        """Counts one call: whether it is allowed, how many are left, and when the window ends (seconds since 1970)."""

        async def count(limiter: FixedWindowRateLimiter, rounded_off: float) -> tuple[bool, int, float]:
            allowed = await limiter.hit(limit, *identity)
            window = await limiter.get_window_stats(limit, *identity)
            return allowed, window.remaining, window.reset_time + rounded_off

        # Redis tells the rest of a window to the nearest second; who waits so long must not come too early.
        return await self._run(lambda: count(self._shared, 0.5), lambda: count(self._local, 0.0))

    @asynccontextmanager
    async def acquire_slot(self, name: str, slots: int) -> AsyncIterator[bool]:
        """Whether one of `slots` was free; if so, it is held until the block ends."""
        key, holder = f"{_PREFIX}:places/{name}", uuid.uuid4().hex

        async def take() -> str:
            return "redis" if await self._take(keys=[key], args=[slots, holder, SLOT_SECONDS]) else ""

        async def take_here() -> str:
            return "here" if self._taken[name] < slots else ""

        where = await self._run(take, take_here)
        if where == "here":
            self._taken[name] += 1
        try:
            yield bool(where)
        finally:
            if where == "here":
                self._taken -= Counter([name])  # which drops what is 0
            elif where == "redis":
                await self._release(key, holder)

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    async def _release(self, key: str, holder: str) -> None:
        if self._redis is not None:
            try:
                await self._redis.zrem(key, holder)
            except (RedisError, OSError) as error:
                self._note_outage(error)  # the slot is free again after `SLOT_SECONDS`

    async def _run(self, shared: Callable[[], Awaitable[Answer]], local: Callable[[], Awaitable[Answer]]) -> Answer:
        if self._redis is None:
            return await local()
        if time.monotonic() >= self._away_until:
            try:
                answer = await shared()
            except (RedisError, OSError) as error:
                self._note_outage(error)
            else:
                self._note_return()
                return answer
        self._on_alone()
        return await local()

    def _note_outage(self, error: Exception) -> None:
        if not self._away_until:
            log.warning("Redis is away (%s): this process counts calls for itself until it is back", error)
        self._away_until = time.monotonic() + AWAY_SECONDS

    def _note_return(self) -> None:
        if self._away_until:
            log.warning("Redis is back: calls are counted together again")
            self._away_until = 0.0
