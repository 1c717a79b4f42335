"""The table of plans of the contract, and the setting that changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.access.plans import DEFAULTS, Plans, plan_name, read_plans
from api.app import create_app
from api.settings import Settings
from ingest.errors import OperatorError
from tests.support.seed import Away

FREE, PERSONAL, PREMIUM, BUSINESS, BUSINESS_PLUS, ENTERPRISE = DEFAULTS


def test_plans_in_order() -> None:
    names = ["Free", "Personal", "Premium", "Business", "Business Plus", "Enterprise"]
    assert [plan.name for plan in DEFAULTS] == names


@pytest.mark.parametrize(
    ("plan", "minute", "hour", "concurrent", "statistics_minute"),
    [
        pytest.param(FREE, 30, 600, 0, 1, id="free"),
        pytest.param(PERSONAL, 180, 10_000, 1, 9, id="personal"),
        pytest.param(PREMIUM, 300, 15_000, 1, 15, id="premium"),
        pytest.param(BUSINESS, 480, 25_000, 2, 24, id="business"),
        pytest.param(BUSINESS_PLUS, 768, 40_000, 2, 38, id="business-plus-38.4-floored"),
        pytest.param(ENTERPRISE, 1200, 60_000, 3, 60, id="enterprise"),
    ],
)
def test_limits(plan: Any, minute: int, hour: int, concurrent: int, statistics_minute: int) -> None:
    figures = (plan.per_minute, plan.per_hour, plan.concurrent_statistics, plan.statistics_per_minute)
    assert figures == (minute, hour, concurrent, statistics_minute)
    assert plan.statistics is (plan is not FREE)


def test_a_name_is_known_however_it_is_capitalised() -> None:
    assert plan_name(" business PLUS") == "Business Plus"
    assert plan_name("gold") is None
    assert Plans().named("business PLUS") is BUSINESS_PLUS
    assert Plans().named("gold") is PERSONAL, "a plan written into the table by hand must not stop the API"


def test_the_setting_changes_single_figures(tmp_path: Path) -> None:
    text = '{"premium": {"per_minute": 400, "range_days": 31}, "Free": {"concurrent_statistics": 1}}'
    (tmp_path / "plans.json").write_text(text)
    for setting in (text, str(tmp_path / "plans.json")):
        plans = read_plans(setting)
        assert plans.named("Premium") == PREMIUM.model_copy(update={"per_minute": 400, "range_days": 31})
        assert plans.named("Free").statistics
        assert plans.named("Business") == BUSINESS
    assert read_plans(" ").all == DEFAULTS


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        pytest.param('{"Gold": {}}', "'Gold' is not a plan; the plans are Free, Personal", id="unknown-plan"),
        pytest.param('{"Premium": {"per_day": 1}}', "Premium: per_day: ", id="unknown-figure"),
        pytest.param('{"Premium": {"per_minute": 0}}', "Premium: per_minute: ", id="no-requests-at-all"),
        pytest.param('{"Premium": {"range_days": 32}}', "Premium: range_days: ", id="more-than-31-days"),
        pytest.param('{"Premium": {"per_minute": "9"}}', "Premium.per_minute", id="text"),
        pytest.param('{"Premium": {"per_minute": true}}', "Premium: per_minute: ", id="true-is-no-number"),
        pytest.param('{"Premium": {"whole_account": 1}}', "Premium: whole_account: ", id="1-is-no-truth"),
        pytest.param('{"Premium": 5}', "Premium: ", id="plan-is-no-object"),
        pytest.param('{"Premium": {', "Invalid JSON", id="cut-off"),
        pytest.param("/no/such/plans.json", "No such file", id="no-such-file"),
    ],
)
def test_a_table_that_cannot_be_stops_the_start_with_its_reason(setting: str, words: str) -> None:
    with pytest.raises(OperatorError, match="CLICKMILL_PLANS: ") as refused:
        create_app(Away(), Settings(plans=setting))
    assert words in str(refused.value)


def documented(label: str) -> list[str]:
    """The cells of a row of the table of plans in docs/statistics.md."""
    page = (Path(__file__).parents[4] / "docs" / "statistics.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| ") and label in line]
    return [cell.strip().replace(",", "") for cell in row.strip("|").split("|")][1:]


def test_the_documented_table_is_the_one_in_force() -> None:
    assert documented("| Free |") == [plan.name for plan in DEFAULTS]
    for figure in ("per_minute", "per_hour", "concurrent_statistics"):
        assert documented(f"`{figure}`") == [str(getattr(plan, figure)) for plan in DEFAULTS]
    assert documented("statistics calls a minute")[1:] == [str(plan.statistics_per_minute) for plan in DEFAULTS[1:]]
    assert documented("`range_days`")[1:] == [str(plan.range_days) for plan in DEFAULTS[1:]]
    for rule in ("whole_account", "first_version"):
        assert documented(f"`{rule}`") == ["yes" if getattr(plan, rule) else "no" for plan in DEFAULTS]
    assert documented("`groups_a_call`")[2:] == [str(plan.groups_a_call or "any") for plan in DEFAULTS[2:]]
