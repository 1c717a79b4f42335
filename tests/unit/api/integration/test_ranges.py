"""Which days sentences name, on Wednesday, 18 March 2026."""

from __future__ import annotations

import pytest

from api.integration.ranges import read_ranges
from api.integration.sentence import read_sentence
from tests.unit.api.integration.test_sentences import TODAY


@pytest.mark.parametrize(
    ("sentence", "days"),
    [
        ("clicks last week", "2026-03-09 2026-03-15"),
        ("yesterday please", "2026-03-17 2026-03-17"),
        ("clicks in March", "2026-03-01 2026-03-31"),
        ("last 31 days", "2026-02-16 2026-03-18"),
        ("from 1 to 15 March", "2026-03-01 2026-03-15"),
        ("March 1-15 2025 clicks", "2025-03-01 2025-03-15"),
        ("vom 1. bis 15. März", "2026-03-01 2026-03-15"),
        ("los últimos 7 días", "2026-03-12 2026-03-18"),
        ("지난달 클릭", "2026-02-01 2026-02-28"),
        ("先月のクリック", "2026-02-01 2026-02-28"),
        ("3월 1일부터 15일까지", "2026-03-01 2026-03-15"),
        ("3月1日から15日まで", "2026-03-01 2026-03-15"),
        ("del 1 al 15 de marzo", "2026-03-01 2026-03-15"),
        ("de 1 a 15 de março", "2026-03-01 2026-03-15"),
        ("2026-01-01 to 2026-01-31", "2026-01-01 2026-01-31"),
        ("between 2026-01-01 and 2026-01-31", "2026-01-01 2026-01-31"),
        ("3 days ago", "2026-03-15 2026-03-15"),
        ("vor 3 Tagen", "2026-03-15 2026-03-15"),
        ("hace 3 días", "2026-03-15 2026-03-15"),
        ("3日前", "2026-03-15 2026-03-15"),
        ("3일 전", "2026-03-15 2026-03-15"),
        ("since Monday", "2026-03-16 2026-03-18"),
        ("seit Montag", "2026-03-16 2026-03-18"),
        ("letzte Woche", "2026-03-09 2026-03-15"),
        ("la semana pasada", "2026-03-09 2026-03-15"),
        ("semana passada", "2026-03-09 2026-03-15"),
        ("지난주", "2026-03-09 2026-03-15"),
        ("지난 주", "2026-03-09 2026-03-15"),
        ("先週", "2026-03-09 2026-03-15"),
        ("this month", "2026-03-01 2026-03-18"),
        ("diesen Monat", "2026-03-01 2026-03-18"),
        ("este mes", "2026-03-01 2026-03-18"),
        ("最近7日間", "2026-03-12 2026-03-18"),
        ("過去30日", "2026-02-17 2026-03-18"),
        ("최근 7일", "2026-03-12 2026-03-18"),
        ("최근 두 달", "2026-01-19 2026-03-18"),
        ("Q1 2025", "2025-01-01 2025-03-31"),
        ("last quarter", "2025-10-01 2025-12-31"),
        ("in 2025", "2025-01-01 2025-12-31"),
        ("2025년 12월 24일", "2025-12-24 2025-12-24"),
        ("2025年12月", "2025-12-01 2025-12-31"),
        ("last Friday", "2026-03-13 2026-03-13"),
        ("am 15. März 2025", "2025-03-15 2025-03-15"),
        ("from December 20 to January 10", "2025-12-20 2026-01-10"),
        ("from March to May 2025", "2025-03-01 2025-05-31"),
        ("20260301-20260315", "2026-03-01 2026-03-15"),
        ("3/1~3/15 클릭", "2026-03-01 2026-03-15"),
        ("last weekend", "2026-03-14 2026-03-15"),
        ("am letzten Wochenende", "2026-03-14 2026-03-15"),
        ("a week ago", "2026-03-09 2026-03-15"),
        ("past two weeks", "2026-03-05 2026-03-18"),
        ("15日のクリック", ""),
        ("the 1st of March to the 5th of March", "2026-03-01 2026-03-05"),
        ("em fevereiro de 2025", "2025-02-01 2025-02-28"),
        ("ultimos 3 meses", "2025-12-19 2026-03-18"),
        ("desde el 1 de marzo", "2026-03-01 2026-03-18"),
        ("año pasado", "2025-01-01 2025-12-31"),
        ("letztes Jahr", "2025-01-01 2025-12-31"),
        ("1분기", "2026-01-01 2026-03-31"),
        ("31 February", ""),
        ("지난 30일", "2026-02-17 2026-03-18"),
        ("３月５日", "2026-03-05 2026-03-05"),
        ("há 2 dias cliques", "2026-03-16 2026-03-16"),
        ("week 10", "2026-03-02 2026-03-08"),
        ("KW 52", "2025-12-22 2025-12-28"),
        ("the week of March 2", "2026-03-02 2026-03-08"),
        ("last 24 hours", "2026-03-17 2026-03-18"),
        ("Monday of last week", "2026-03-09 2026-03-09"),
        ("지난주 화요일", "2026-03-10 2026-03-10"),
        ("작년 12월", "2025-12-01 2025-12-31"),
        ("December of last year", "2025-12-01 2025-12-31"),
        ("from January 5 onwards", "2026-01-05 2026-03-18"),
        ("29 February to 3 March 2024", "2024-02-29 2024-03-03"),
        ("2026-03-01..2026-03-05", "2026-03-01 2026-03-05"),
        ("from Febuary 3 to 5", "2026-02-03 2026-02-05"),
    ],
)
def test_days_of_a_sentence(sentence: str, days: str) -> None:
    found, _ = read_ranges(read_sentence(sentence), TODAY)
    assert " ".join(f"{period.first} {period.last}" for period in found) == days


def test_a_date_that_does_not_exist_is_told() -> None:
    assert read_ranges(read_sentence("clicks on 31 February"), TODAY) == ([], ["31 February"])


@pytest.mark.parametrize("unit", ["days", "weeks", "months", "years"])
def test_no_number_of_units_leaves_the_calendar(unit: str) -> None:
    [period], _ = read_ranges(read_sentence(f"last 999999999 {unit}"), TODAY)
    assert period.first < period.last == TODAY
