"""The format that an Accept header selects, and formulas in CSV."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.clicks.formats import Csv, preferred_media_type
from api.clicks.queries import ClickRow
from tests.support import some

JSON, CSV, NDJSON, PARQUET = "application/json", "text/csv", "application/x-ndjson", "application/vnd.apache.parquet"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        pytest.param([], JSON, id="no-header"),
        pytest.param([""], JSON, id="empty"),
        pytest.param(["*/*"], JSON, id="anything"),
        pytest.param(["application/json"], JSON, id="json"),
        pytest.param(["text/csv"], CSV, id="csv"),
        pytest.param(["application/x-ndjson"], NDJSON, id="ndjson"),
        pytest.param(["application/vnd.apache.parquet"], PARQUET, id="parquet"),
        pytest.param(["TEXT/CSV"], CSV, id="in-any-case"),
        pytest.param(["text/csv; charset=utf-8"], CSV, id="parameters-are-not-looked-at"),
        pytest.param(["text/*"], CSV, id="main-type"),
        pytest.param(["application/*"], JSON, id="first-of-a-main-type"),
        pytest.param(["text/csv, application/json"], JSON, id="equals-in-the-order-offered"),
        pytest.param(["application/json;q=0.9, text/csv"], CSV, id="higher-quality"),
        pytest.param(["application/json;q=0.9, text/csv;q=0.8"], JSON, id="lower-quality"),
        pytest.param(["text/csv;q=0.001, application/json;q=0"], CSV, id="smallest-quality"),
        pytest.param(["text/csv, */*;q=0.1"], CSV, id="what-curl-users-write"),
        pytest.param(["text/csv;q=0, */*"], JSON, id="not-csv"),
        pytest.param(["application/json;q=0, */*"], CSV, id="anything-but-json"),
        pytest.param(["*/*;q=0.5, text/*;q=0.2, text/csv;q=0.1"], JSON, id="the-most-exact-range-decides"),
        pytest.param(["application/json;q=0.5", "text/csv;q=0.7"], CSV, id="two-lines"),
        pytest.param(["text/csv ; q=0.3 , application/x-ndjson ; Q=0.4"], NDJSON, id="spaces-and-upper-case"),
        pytest.param(["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], JSON, id="browser"),
        pytest.param(["text/html"], JSON, id="nothing-that-is-offered"),
        pytest.param(["text/csv;q=0"], JSON, id="only-what-is-not-wanted"),
        pytest.param(["text/csv;q=2"], JSON, id="quality-too-high-is-not-there"),
        pytest.param(["text/csv;q=0.1234, text/*;q=0"], JSON, id="quality-too-exact-is-not-there"),
        pytest.param(["text/csv;q=x"], JSON, id="quality-no-number-is-not-there"),
        pytest.param(["csv"], JSON, id="no-slash"),
        pytest.param(["text/csv/x"], JSON, id="two-slashes"),
        pytest.param([",,text/csv,,"], CSV, id="empty-elements"),
        pytest.param(["*/csv"], JSON, id="a-star-before-a-subtype-is-no-range"),
    ],
)
def test_preferred_media_type(accept: list[str], chosen: str) -> None:
    assert preferred_media_type(accept, (JSON, CSV, NDJSON, PARQUET)) == chosen


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
