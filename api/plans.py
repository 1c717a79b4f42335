"""The plans of the link shortener, least first, and what each may ask of the statistics calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    statistics: bool  # has statistics at all
    whole_account: bool  # may ask for a group or the whole account; else for single links only


PLANS = (
    Plan("Free", statistics=False, whole_account=False),
    Plan("Personal", statistics=True, whole_account=False),
    Plan("Premium", statistics=True, whole_account=True),
    Plan("Business", statistics=True, whole_account=True),
    Plan("Business Plus", statistics=True, whole_account=True),
    Plan("Enterprise", statistics=True, whole_account=True),
)
_BY_NAME = {plan.name.lower(): plan for plan in PLANS}

DEFAULT_PLAN = _BY_NAME["personal"]


def plan_named(name: str) -> Plan | None:
    """The plan of that name, however it is capitalised."""
    return _BY_NAME.get(name.strip().lower())
