"""Formulas in CSV."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.clicks.formats import Csv
from api.clicks.queries import ClickRow
from tests.support import some

NASTY = st.text(st.sampled_from("=+-@;,|\t\r\n\"' ＝x1é"), max_size=12)


def row_named(name: str | None) -> ClickRow:
    return {
        "advertiser_id": 1,
        "advertiser_name": name,
        "advertiser_slug": None,
        "publisher_id": 2,
        "publisher_name": "",
        "network_id": 3,
        "network_name": "Net",
        "click_date": "2026-03-02",
        "click_count": 4,
    }


@given(NASTY)
def test_a_text_comes_back_as_it_was_or_disarmed(name: str) -> None:
    [read] = csv.DictReader(io.StringIO(Csv().begin().decode() + Csv().rows([row_named(name)]).decode(), newline=""))
    assert read["advertiser_name"].replace("'", "") == name.replace("'", ""), "apostrophes are all that is added"
    assert (read["publisher_id"], read["publisher_name"], read["network_name"]) == ("2", "", "Net")


@given(NASTY)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_wherever_a_spreadsheet_splits_no_cell_is_a_formula(separator: str, name: str) -> None:
    text = Csv().rows([row_named(name)]).decode()
    for quotes in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        for cells in some(csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quotes)):
            if separator != "," or quotes == csv.QUOTE_MINIMAL:  # commas without quotes are not CSV
                assert not [cell for cell in cells if cell.strip(' \t\r\n"').startswith(tuple("=+-@＝"))]


def test_texts_are_quoted_and_numbers_and_null_are_not() -> None:
    line = b'1,"a ""b"" c",,2,"",3,"Net","2026-03-02",4\r\n'
    assert Csv().rows([row_named('a "b" c')]) == line
    assert Csv().rows([row_named(None)]) == line.replace(b'"a ""b"" c"', b"")


@pytest.mark.parametrize(
    ("name", "disarmed"),
    [
        ("Shoes;=1+1", "Shoes;'=1+1"),
        ("Shoes; @x", "Shoes; '@x"),
        (" =1", " '=1"),
        ("a\n+1", "a\n'+1"),
        ("a|-1", "a|'-1"),
        ("Smith, -5 %", "Smith, -5 %"),
        ("a-b=c; d", "a-b=c; d"),
    ],
)
def test_formulas_are_disarmed_behind_other_separators_too(name: str, disarmed: str) -> None:
    [cells] = csv.reader(io.StringIO(Csv().rows([row_named(name)]).decode(), newline=""))
    assert cells[1] == disarmed


def test_a_long_text_is_disarmed_in_linear_time() -> None:
    for text in (";" * 2_000_000, " " * 2_000_000, "; " * 1_000_000, "=" * 2_000_000):
        began = time.process_time()
        Csv().rows([row_named(text)])
        assert time.process_time() - began < 2
