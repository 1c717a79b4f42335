"""Rate limits of keys and accounts, shared by all API processes through Redis if there is one.

Fixed windows. While Redis is away each process counts for itself (docs/decisions/0011-limits.md).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PrometheusCounter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.requests import Request

from api.access.plans import Plan
from api.http.errors import RateLimited
from api.settings import Settings

log = logging.getLogger(__name__)

REDIS_TIMEOUT_SECONDS = 0.25  # Redis responds in well under a millisecond
AWAY_SECONDS = 2.0  # after a failure, in which no request waits for Redis
SLOT_SECONDS = 120  # after which the slot of a process that died is free; no call takes that long
SWEEP_SECONDS = 60.0
HOUR, MINUTE = 3600, 60
_CONNECTIONS = 64
_SPANS = ("an hour", "a minute", "a minute for statistics")  # the windows of an account, in the order of counting

# KEYS: the counter of each window; then, if a slot is wanted, its holders, sorted by the end of their lease.
# ARGV: the number of windows, amount and seconds of each; then the number of slots, the holder, seconds of a lease.
# Returns count and milliseconds left of each window, up to the first one above its amount; then whether a slot is held.
_HIT_ALL = """
local reply, windows, refused, held = {}, tonumber(ARGV[1]), false, 0
for i = 1, windows do
    local amount, seconds = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local count, left = redis.call('INCR', KEYS[i]), redis.call('PTTL', KEYS[i])
    if left < 0 then
        redis.call('EXPIRE', KEYS[i], seconds)
        left = seconds * 1000
    end
    table.insert(reply, count)
    table.insert(reply, left)
    refused = count > amount
    if refused then break end
end
local slots, most, holder, lease = KEYS[windows + 1], unpack(ARGV, 2 * windows + 2)
if slots and not refused then
    local now = tonumber(redis.call('TIME')[1])
    redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
    if redis.call('ZCARD', slots) < tonumber(most) then
        redis.call('ZADD', slots, now + lease, holder)
        redis.call('EXPIRE', slots, lease)
        held = 1
    end
end
table.insert(reply, held)
return reply
"""


@dataclass(frozen=True, slots=True)
class Window:
    """`amount` calls an HOUR or MINUTE, counted under `name`. It begins with its first call.

    Keys in Redis stay those of earlier releases, so that old and new processes count together during an upgrade.
    """

    name: str
    amount: int
    seconds: int

    @property
    def key(self) -> str:
        return f"clickmill:LIMITER/{self.name}/{self.amount}/1/{'hour' if self.seconds == HOUR else 'minute'}"


@dataclass(frozen=True, slots=True)
class Slot:
    """One of `most` that may be held under `name` at a time."""

    name: str
    most: int
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def key(self) -> str:
        return f"clickmill:places/{self.name}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A window after a call was counted; `reset` is its end in seconds since 1970."""

    window: Window
    count: int
    reset: float

    @property
    def allowed(self) -> bool:
        return self.count <= self.window.amount

    @property
    def retry_after(self) -> int:
        return max(1, math.ceil(self.reset - time.time()))


class MemoryStorage:
    """Counts calls and holds slots for this process alone. For one event loop."""

    def __init__(self) -> None:
        self.windows: dict[str, tuple[int, float]] = {}  # count and reset
        self._holders: set[str] = set()
        self._held: Counter[str] = Counter()
        self._sweep_at = 0.0

    async def hit_all(self, windows: Sequence[Window], slot: Slot | None = None) -> tuple[list[Hit], bool]:
        """Counts a call in each window, up to the first one that refuses it. Whether the slot is held: if none did."""
        now, hits = time.time(), list[Hit]()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            self.windows = {key: state for key, state in self.windows.items() if state[1] > now}
        for window in windows:
            count, reset = self.windows.get(window.key, (0, now))
            if reset <= now:
                count, reset = 0, now + window.seconds
            self.windows[window.key] = count + 1, reset
            hits.append(Hit(window, count + 1, reset))
            if not hits[-1].allowed:
                return hits, False
        if slot is None or self._held[slot.key] >= slot.most:
            return hits, False
        self._holders.add(slot.holder)
        self._held[slot.key] += 1
        return hits, True

    async def release(self, slot: Slot) -> bool:
        """Frees the slot; False if it is not held here."""
        if slot.holder not in self._holders:
            return False
        self._holders.remove(slot.holder)
        self._held -= Counter([slot.key])  # drops zeros
        return True


class RedisStorage:
    """`MemoryStorage` for all processes that share the Redis, in one round trip. Raises RedisError or OSError."""

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=REDIS_TIMEOUT_SECONDS,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis(connection_pool=pool)
        self._script = self._redis.register_script(_HIT_ALL)

    async def hit_all(self, windows: Sequence[Window], slot: Slot | None = None) -> tuple[list[Hit], bool]:
        keys = [window.key for window in windows]
        arguments: list[str | int] = [len(windows)]
        for window in windows:
            arguments += [window.amount, window.seconds]
        if slot is not None:
            keys.append(slot.key)
            arguments += [slot.most, slot.holder, SLOT_SECONDS]
        *counted, held = await self._script(keys=keys, args=arguments)
        now = time.time()
        pairs = zip(windows, counted[::2], counted[1::2], strict=False)
        return [Hit(window, count, now + left / 1000) for window, count, left in pairs], bool(held)

    async def release(self, slot: Slot) -> bool:
        return bool(await self._redis.zrem(slot.key, slot.holder))

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


class FallbackStorage:
    """Redis, or memory while Redis is away; `on_fallback` is called for each call that memory counts."""

    def __init__(self, redis: RedisStorage, on_fallback: Callable[[], None]) -> None:
        self._redis, self._memory = redis, MemoryStorage()
        self._on_fallback = on_fallback
        self._away_until = 0.0

    async def hit_all(self, windows: Sequence[Window], slot: Slot | None = None) -> tuple[list[Hit], bool]:
        if time.monotonic() >= self._away_until:
            try:
                found = await self._redis.hit_all(windows, slot)
            except (RedisError, OSError) as error:
                self._note_outage(error)
            else:
                if self._away_until:
                    log.warning("Redis is back: calls are counted together again")
                self._away_until = 0.0
                return found
        self._on_fallback()
        return await self._memory.hit_all(windows, slot)

    async def release(self, slot: Slot) -> bool:
        try:
            return await self._memory.release(slot) or await self._redis.release(slot)
        except (RedisError, OSError) as error:
            self._note_outage(error)
            return False  # it is free after `SLOT_SECONDS`

    def _note_outage(self, error: Exception) -> None:
        if not self._away_until:
            log.warning("Redis is away (%s): this process counts calls for itself until it is back", error)
        self._away_until = time.monotonic() + AWAY_SECONDS


class RateLimiter:
    """Counts calls, and raises RateLimited for one above a limit, which counts too. For one event loop."""

    def __init__(self, settings: Settings, registry: CollectorRegistry | None = None) -> None:
        self._on = settings.rate_limits == "on"
        self._per_hour = settings.requests_per_hour
        alone = PrometheusCounter(
            "clickmill_limits_counted_alone",
            "Calls counted by this process alone while Redis was away",
            registry=registry or CollectorRegistry(),
        )
        self._redis = RedisStorage(settings.redis_url) if settings.redis_url else None
        self._storage = FallbackStorage(self._redis, alone.inc) if self._redis else MemoryStorage()

    async def count_key(self, request: Request, key_id: str, per_hour: int | None) -> None:
        """Counts a call of a key, and adds what is left to the headers of the response.

        `per_hour` is the key's own limit, None for that of the settings.
        """
        if not self._on:
            return
        limit = per_hour or self._per_hour
        [hit], _ = await self._storage.hit_all([Window(f"key/{key_id}", limit, HOUR)])
        request.state.rate_limit_headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - hit.count)),
            "X-RateLimit-Reset": str(math.ceil(hit.reset)),
        }
        if not hit.allowed:
            raise RateLimited(f"This key may make {limit} requests an hour; wait for the next.", hit.retry_after)

    async def count_account(self, account_id: int, plan: Plan) -> None:
        """Counts a call of an account that is not for statistics."""
        if self._on:
            await self._hit_account(account_id, plan)

    @asynccontextmanager
    async def statistics(self, account_id: int, plan: Plan) -> AsyncIterator[None]:
        """Counts a statistics call of an account, and holds one of its slots for the block."""
        if not self._on:
            yield
            return
        minute = Window(f"account/{account_id}/statistics", plan.statistics_per_minute, MINUTE)
        slot = Slot(f"statistics/{account_id}", plan.concurrent_statistics)
        counting = asyncio.ensure_future(self._hit_account(account_id, plan, minute, slot=slot))
        try:
            held = await asyncio.shield(counting)
        except asyncio.CancelledError:  # by a client that left: Redis may give the slot all the same
            await asyncio.wait([counting])
            if counting.exception() is None and counting.result():
                await self._storage.release(slot)
            raise
        if not held:
            at_once = f"{plan.concurrent_statistics} at once"
            raise RateLimited(f"The {plan.name} plan answers statistics {at_once}; wait for one to end.", 1)
        try:
            yield
        finally:
            await self._storage.release(slot)

    async def close(self) -> None:
        if self._redis:
            await self._redis.close()

    async def _hit_account(self, account_id: int, plan: Plan, *further: Window, slot: Slot | None = None) -> bool:
        """Whether the slot is held."""
        name = f"account/{account_id}/calls"
        windows = [Window(name, plan.per_hour, HOUR), Window(name, plan.per_minute, MINUTE), *further]
        hits, held = await self._storage.hit_all(windows, slot)
        if not hits[-1].allowed:
            limit = f"{hits[-1].window.amount} calls {_SPANS[len(hits) - 1]}"
            raise RateLimited(f"The {plan.name} plan allows {limit}.", hits[-1].retry_after)
        return held
