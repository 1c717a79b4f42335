"""The plans of the link shortener, smallest first, and their limits.

`DEFAULTS` is the table; `CLICKMILL_PLANS` changes single figures, since published copies of the table differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ingest.errors import OperatorError

MAX_RANGE_DAYS = 31
_STATISTICS_SHARE = 20  # one in twenty of the calls a minute may be for statistics

Truth = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


class Plan(BaseModel):
    """The limits of an account. A call must name `groups_a_call` groups at most; None: any number, or none at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    per_minute: Count  # requests
    per_hour: Count
    concurrent_statistics: Annotated[int, Field(strict=True, ge=0, le=1000)]  # 0: no statistics at all
    range_days: Annotated[int, Field(strict=True, ge=1, le=MAX_RANGE_DAYS)] = MAX_RANGE_DAYS
    whole_account: Truth = True  # may ask for groups and the whole account; else for single links only
    first_version: Truth = True  # may call version 1 of clicks by hour and clicks by date
    groups_a_call: Count | None = None

    @property
    def statistics(self) -> bool:
        return self.concurrent_statistics > 0

    @property
    def statistics_per_minute(self) -> int:
        return max(1, self.per_minute // _STATISTICS_SHARE)


DEFAULTS = (
    Plan(
        name="Free",
        per_minute=30,
        per_hour=600,
        concurrent_statistics=0,
        range_days=7,
        whole_account=False,
        first_version=False,
    ),
    Plan(
        name="Personal",
        per_minute=180,
        per_hour=10_000,
        concurrent_statistics=1,
        range_days=7,
        whole_account=False,
        first_version=False,
    ),
    Plan(
        name="Premium",
        per_minute=300,
        per_hour=15_000,
        concurrent_statistics=1,
        range_days=14,
        first_version=False,
        groups_a_call=5,
    ),
    Plan(name="Business", per_minute=480, per_hour=25_000, concurrent_statistics=2),
    Plan(name="Business Plus", per_minute=768, per_hour=40_000, concurrent_statistics=2),
    Plan(name="Enterprise", per_minute=1200, per_hour=60_000, concurrent_statistics=3),
)
DEFAULT_PLAN = "Personal"  # of accounts without an entry


class Plans:
    """The table in force, by name."""

    def __init__(self, plans: tuple[Plan, ...] = DEFAULTS) -> None:
        self.all = plans
        self._by_name = {plan.name.lower(): plan for plan in plans}

    def named(self, name: str) -> Plan:
        """The plan of that name in any capitalisation, or `DEFAULT_PLAN`."""
        return self._by_name.get(name.strip().lower()) or self._by_name[DEFAULT_PLAN.lower()]


def plan_name(text: str) -> str | None:
    """The name of a plan as `DEFAULTS` spells it, None if there is no such plan."""
    return next((plan.name for plan in DEFAULTS if plan.name.lower() == text.strip().lower()), None)


def read_plans(setting: str) -> Plans:
    """The defaults with the changes of `CLICKMILL_PLANS`: JSON, or the path of a file with it.

    Raises OperatorError.
    """
    if not setting.strip():
        return Plans()
    try:
        text = setting if setting.lstrip().startswith("{") else Path(setting).read_text(encoding="utf-8")
        changes = _CHANGES.validate_json(text)
        unknown = [name for name in changes if plan_name(name) is None]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a plan; the plans are {', '.join(p.name for p in DEFAULTS)}")
        by_name = {plan_name(name): values for name, values in changes.items()}
        return Plans(tuple(_changed(plan, by_name.get(plan.name, {})) for plan in DEFAULTS))
    except (OSError, ValueError) as error:
        raise OperatorError(f"CLICKMILL_PLANS: {_words(error)}") from error


_CHANGES = TypeAdapter(dict[str, dict[str, int | bool | None]], config=ConfigDict(strict=True))


def _changed(plan: Plan, values: dict[str, int | bool | None]) -> Plan:
    try:
        return Plan.model_validate({**plan.model_dump(), **values, "name": plan.name})
    except ValidationError as error:
        raise ValueError(f"{plan.name}: {_words(error)}") from error


def _words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
