"""Shared by all endpoints of statistics: authentication, plans, the response envelope, OpenAPI entries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response, Security
from fastapi.security import APIKeyHeader

from api.access.authentication import Authentication
from api.access.plans import Plan
from api.access.rate_limits import RateLimiter
from api.catalog.catalog import Catalog
from api.http.conditional import ResponseBody, conditional_response, day_has_ended
from api.http.errors import StatisticsCode, StatisticsError
from api.http.openapi import Responses, success_responses
from api.query.response_cache import ResponseCache


@dataclass(frozen=True, slots=True)
class Caller:
    """The account of a request. Its days and hours are local to `zone`."""

    account_id: int
    plan: Plan
    zone: ZoneInfo

    def require_first_version(self) -> None:
        if not self.plan.first_version:
            raise self.not_in_plan("version 1 of this call; use version 2")

    def not_in_plan(self, what: str) -> StatisticsError:
        return StatisticsError(StatisticsCode.PLAN, f"The {self.plan.name} plan has no {what}.")


class Statistics:
    """Admits requests and responds to them. For one event loop."""

    def __init__(
        self, authentication: Authentication, limiter: RateLimiter, catalog: Catalog, cache: ResponseCache
    ) -> None:
        self._authentication = authentication
        self._limiter = limiter
        self._catalog = catalog
        self.cache = cache

    @asynccontextmanager
    async def caller(self, request: Request) -> AsyncIterator[Caller]:
        """The caller of an endpoint that takes a plan with statistics. Holds one of its concurrent slots in the block.

        Raises Unauthorized, Forbidden, RateLimited, and StatisticsError for a plan without statistics.
        """
        caller = await self._resolve(request)
        if not caller.plan.statistics:
            await self._limiter.count_account(caller.account_id, caller.plan)
            raise caller.not_in_plan("statistics")
        async with self._limiter.statistics(caller.account_id, caller.plan):
            yield caller

    async def account(self, request: Request) -> Caller:
        """The caller of an endpoint that every plan includes. Raises Unauthorized, Forbidden, RateLimited."""
        caller = await self._resolve(request)
        await self._limiter.count_account(caller.account_id, caller.plan)
        return caller

    async def _resolve(self, request: Request) -> Caller:
        account_id = await self._authentication.statistics_caller(request)
        account, _ = await self.cache.get(self._catalog.account, account_id, last_day=None)
        return Caller(account_id, account.plan, account.zone)

    async def respond(
        self, request: Request, caller: Caller, last_day: date | None, read: Callable[..., Any], *arguments: Hashable
    ) -> Response:
        """The result of `read(caller, *arguments)` in the envelope, from the cache or read in a thread.

        `last_day` is the last day that the result depends on, None if it depends on the catalogue only. The arguments
        are part of the cache key, see `ResponseCache.get`.
        """
        body, as_of = await self.cache.get(
            _encoded, read, caller, *arguments, last_day=last_day, size=lambda body: body.size
        )
        closed = last_day is not None and day_has_ended(last_day, caller.zone)
        return conditional_response(request, body, as_of, closed=closed)


def _encoded(read: Callable[..., Any], *arguments: Hashable) -> ResponseBody:
    return ResponseBody.of(envelope(read(*arguments)))


def envelope(result: Any) -> dict[str, Any]:
    return {"code": 0, "message": "", "result": result}


def statistics_router() -> APIRouter:
    """An empty router; its endpoints are documented as taking the key of an account."""
    key = APIKeyHeader(name="Authorization", description="`APIKey KEY`", scheme_name="APIKey", auto_error=False)
    return APIRouter(tags=["statistics"], dependencies=[Security(key)])


_MESSAGES = {
    StatisticsCode.PARAMETER: "startYmd must be a date written as YYYY-MM-DD.",
    StatisticsCode.LINK_INCOMPLETE: "linkId and domain are both required.",
    StatisticsCode.PLAN: "The Personal plan has no clicks by group.",
    StatisticsCode.UNKNOWN: "There is no such link in this account.",
    StatisticsCode.RANGE: "startYmd to endYmd are 32 days; the Business plan allows at most 31.",
}


def documented_responses(result: Any, *codes: StatisticsCode) -> Responses:
    """The OpenAPI entries of HTTP 200 and 304, with an example of the result and of each business error."""
    errors = {
        f"{code.value}": {
            "summary": code.name,
            "value": {"code": code.value, "message": _MESSAGES[code], "result": None},
        }
        for code in codes
    }
    examples = {"0": {"summary": "SUCCESS", "value": envelope(result)}, **errors}
    return success_responses("code 0 and the result, or a business error: another code and no result", examples)
