"""The call as HTTP: parameters, limits, errors, and answers to any text."""

from __future__ import annotations

import string
import time
from datetime import date

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.integration.endpoint import EXAMPLE, EXAMPLE_NEED, MAX_NEED, IntegrationEndpoint, integration
from api.integration.lexicon import LANGUAGES, phrases
from api.settings import Settings
from tests.support import some
from tests.support.clock import Clock
from tests.support.seed import Away

TODAY = date(2026, 3, 18)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app(Away(), Settings()))


def test_the_documented_example_is_the_answer() -> None:
    assert integration(EXAMPLE_NEED, "curl", date(2026, 3, 31), "https://clicks.example/") == EXAMPLE


def test_a_sentence_becomes_a_request_and_code_without_a_key(client: TestClient) -> None:
    asked = {"need": "Klicks der Gruppe 12 gestern pro Stunde", "language": "python", "today": "2026-03-18"}
    answer = client.get("/api/v1/integration", params=asked).json()
    assert answer["understood"] == {
        "call": "clicksByHour",
        "parameters": {"ymd": "2026-03-17", "grpIdx": 12},
        "format": "json",
    }
    assert answer["request"]["path"] == "/api/statistics/v2/clicks-by-hour"
    assert answer["request"]["headers"]["Authorization"] == "APIKey $CLICKMILL_KEY"
    assert "'http://testserver/api/statistics/v2/clicks-by-hour'" in answer["code"]
    assert answer["unclear"] == []
    assert answer["alternatives"]


def test_what_was_not_understood_is_said_with_the_main_calls(client: TestClient) -> None:
    answer = client.get("/api/v1/integration", params={"need": "make me a sandwich"}).json()
    assert answer["understood"]["call"] is None
    assert (answer["request"], answer["code"]) == (None, None)
    assert "No call was recognised." in answer["unclear"]
    assert len(answer["alternatives"]) >= 4


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ("clicks of publisher 45 from 2025-01-01 to 2025-12-31", "365 days and this call takes at most 90"),
        ("hourly clicks of publisher 45 yesterday", "by day, not by hour"),
        ("clicks by hour of group 3 yesterday as parquet", "does not give parquet"),
        ("clicks on 31 February", "“31 February” is no date"),
        ("top 500 links yesterday", "limit is at most 200, not 500"),
        ("clicks yesterday with a cherry on top of vvd.bz", "A domain alone names no link"),
        ("clicks of group 3 by country yesterday", "Not understood: country"),
        ("clicks next year 2027-01-01", "is in the future"),
    ],
)
def test_what_is_left_out_or_filled_in_is_said(need: str, said: str) -> None:
    assert said in " ".join(integration(need, "curl", TODAY, "http://x/")["unclear"])


def test_a_range_that_is_too_long_is_not_sent() -> None:
    found = integration("clicks from 2025-01-01 to 2025-12-31", "curl", TODAY, "http://x/")["understood"]
    assert found["parameters"] == {"start_date": "2025-10-03", "end_date": "2025-12-31"}


def test_at_once_asks_for_changes_unless_days_are_named() -> None:
    for need, call in (
        ("tell me immediately when clicks change", "followChanges"),
        ("어제 클릭 바로 보여줘", "listClicks"),
    ):
        assert integration(need, "curl", TODAY, "http://x/")["understood"]["call"] == call


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "need"),
        ({"need": "  "}, "need"),
        ({"need": "x" * (MAX_NEED + 1)}, "need"),
        ({"need": "clicks", "language": "cobol"}, "language"),
        ({"need": "clicks", "today": "tomorrow"}, "today"),
        ({"need": "clicks", "today": "0001-01-01"}, "today"),
    ],
)
def test_a_wrong_parameter_is_named(client: TestClient, query: dict[str, str], field: str) -> None:
    answer = client.get("/api/v1/integration", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["field"] == field


def test_sentences_of_an_address_are_limited() -> None:
    app = create_app(Away(), Settings())
    app.router.routes.clear()
    app.include_router(IntegrationEndpoint(Clock(1_000.0)).router())
    limited = TestClient(app)
    statuses = [limited.get("/api/v1/integration", params={"need": "clicks"}).status_code for _ in range(31)]
    assert statuses.count(200) in (29, 30)  # of floats
    assert statuses[-1] == 429
    assert limited.get("/api/v1/integration", params={"need": "clicks"}).headers["retry-after"] == "1"


WORDS = sorted({text for language in LANGUAGES for texts in phrases(language).values() for text in texts})
NOISE = [
    *string.digits,
    "2026-03-01",
    "31",
    "3월",
    "15日",
    "März",
    "vvd.bz/x",
    '"x"',
    "~",
    "-",
    "9" * 30,
    "1/2",
    "\x00",
]
SENTENCES = st.text(max_size=MAX_NEED) | st.lists(st.sampled_from([*WORDS, *NOISE]), max_size=60).map(" ".join).map(
    lambda text: text[:MAX_NEED]
)


@settings(max_examples=300)
@given(need=SENTENCES, today=st.dates(date(1990, 1, 1), date(2100, 12, 31)))
def test_any_sentence_gets_an_answer_that_repeats(need: str, today: date) -> None:
    answer = integration(need, "go", today, "http://x/")
    assert answer == integration(need, "go", today, "http://x/")
    assert (answer["request"] is None) == (answer["understood"]["call"] is None)
    for name in ("start_date", "end_date", "from", "to", "ymd", "startYmd", "endYmd"):
        if name in answer["understood"]["parameters"]:
            assert date.fromisoformat(str(answer["understood"]["parameters"][name]))


def test_hostile_sentences_take_no_longer_than_others() -> None:
    parts = (
        "1 ",
        "a.",
        "/",
        '"',
        "by ",
        "1/2/",
        "march ",
        "클",
        "vor 1 ",
        "vvd.bz/",
        "group 1",
        "last ",
        "1 to 2 may ",
    )
    integration("clicks in march", "curl", TODAY, "http://x/")
    for part in some(parts):
        start = time.process_time()
        integration((part * MAX_NEED)[:MAX_NEED], "curl", TODAY, "http://x/")
        assert time.process_time() - start < 1.0, part
