"""The claims of README and docs/decisions/0003-uniques.md about user counts, checked with the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from rollups.clickhouse import ClickHouse

ROOT = Path(__file__).parents[2]


def errors(db: ClickHouse, users: int, buckets: int) -> list[int]:
    """The error of each of so many buckets with so many users."""
    rows = db.query(
        "SELECT toInt64(uniqMerge(state)) FROM (SELECT seed, uniqState(sipHash64(users.number, seed)) AS state "
        f"FROM numbers({users}) AS users CROSS JOIN (SELECT number AS seed FROM numbers({buckets})) AS seeds "
        "GROUP BY seed, users.number % 3) GROUP BY seed"  # of three hours each
    )
    return [found - users for (found,) in rows]


@pytest.mark.parametrize(("users", "buckets", "short"), [(1_000, 200, 0.01), (10_000, 100, 0.05), (60_000, 20, 0.7)])
def test_users_are_exact_but_for_one_or_two(db: ClickHouse, users: int, buckets: int, short: float) -> None:
    wrong = [error for error in errors(db, users, buckets) if error]
    assert all(-2 <= error < 0 for error in wrong), wrong
    assert len(wrong) <= short * buckets


@pytest.mark.parametrize("users", [70_000, 200_000])
def test_users_above_65536_are_an_estimate_to_about_one_percent(db: ClickHouse, users: int) -> None:
    found = [abs(error) / users for error in errors(db, users, 10)]
    assert 0 < sum(found) / len(found) < 0.005
    assert max(found) < 0.015


def test_nothing_calls_users_exact_without_saying_up_to_where() -> None:
    help_text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for name in ("README.md", "docs/statistics.md"):
        help_text += " ".join((ROOT / name).read_text().split())
    said = "Clicks are exact. Numbers of users are exact up to 65,536, apart from an occasional one or two too few"
    assert help_text.count(said) == 3
