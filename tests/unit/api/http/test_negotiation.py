"""The format that an Accept header selects, and whether it accepts one."""

from __future__ import annotations

import pytest

from api.http.negotiation import accepts, preferred_media_type

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


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        pytest.param([], True, id="no-header"),
        pytest.param(["text/csv"], True, id="this"),
        pytest.param(["*/*"], True, id="anything"),
        pytest.param(["application/json", "text/*;q=0.1"], True, id="its-main-type"),
        pytest.param(["application/json"], False, id="another"),
        pytest.param(["*/*, text/csv;q=0"], False, id="anything-but-this"),
    ],
)
def test_accepts(accept: list[str], taken: bool) -> None:
    assert accepts(accept, CSV) == taken
