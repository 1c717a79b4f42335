"""The basis of the benchmarks: their events are as described, and their results have one shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="the extra `bench` is not installed")

from bench.data.agents import pool
from bench.data.events import USERS, events
from bench.data.expected import Model
from bench.data.hostile_events import hostile_events
from bench.report import tables
from bench.report.results import medians, rounded, shaped
from ingest.event import Click, decode_one
from rollups.bots.detection import is_bot

COUNT = 30_000


@pytest.fixture(scope="module")
def made() -> list[tuple[bytes, bytes]]:
    return list(events(COUNT))


def test_the_same_seed_makes_the_same_events(made: list[tuple[bytes, bytes]]) -> None:
    assert list(events(1000)) == list(events(1000))
    assert list(events(1000, seed=2)) != list(events(1000))
    assert len(made) == COUNT


def test_events_are_clicks_of_the_size_that_is_said(made: list[tuple[bytes, bytes]]) -> None:
    assert all(isinstance(decode_one(value), Click) for _, value in made)
    assert all(len(json.loads(value)) == 11 for _, value in made[:100])
    assert 330 <= sum(len(value) for _, value in made) / COUNT <= 400


def test_shares_of_bots_and_retries(made: list[tuple[bytes, bytes]]) -> None:
    model = Model()
    for _, value in made:
        model.take(value)
    counts = model.counts()
    assert counts.events == counts.counted + counts.bot + counts.duplicate + counts.repeat == COUNT
    assert counts.bot / COUNT == pytest.approx(0.03, abs=0.004)
    assert counts.duplicate / COUNT == pytest.approx(0.01, abs=0.003)


def test_popular_links_many_users_and_ever_new_agents(made: list[tuple[bytes, bytes]]) -> None:
    clicks = [json.loads(value) for _, value in made]
    links = [click["link_id"] for click in clicks]
    most = max(links.count(link) for link in set(links[:200]))
    assert most / COUNT > 0.02
    assert 4000 < len(set(links)) < COUNT / 2
    assert 2500 < len({click["user_agent"] for click in clicks}) < COUNT / 5
    assert 5000 < len({click["referrer"] for click in clicks}) < COUNT / 2
    assert 10_000 < len({click["visitor_id"] for click in clicks}) <= USERS
    assert len({key for key, _ in made}) == len({click["visitor_id"] for click in clicks})


def test_agents_are_peoples_and_all_different() -> None:
    agents = [agent.decode() for agent in pool(2000)]
    assert len(set(agents)) == len(agents)
    assert not any(map(is_bot, agents))


def test_hostile_events_are_clicks_of_people_and_nothing_in_them_comes_twice() -> None:
    clicks = [decode_one(value) for _, value in hostile_events(300)]
    assert all(isinstance(click, Click) for click in clicks)
    for name in ("event_id", "account_id", "domain", "link_id", "visitor_id", "user_agent", "referrer"):
        assert len({getattr(click, name) for click in clicks}) == 300
    assert not any(is_bot(click.user_agent or "") for click in clicks if isinstance(click, Click))


def test_what_a_database_says_otherwise_is_named() -> None:
    counts = Model(events=2, counted=1, bot=1).counts()
    assert counts.problems({"events": 2, "counted": 1, "bot": 1, "duplicate": 0, "repeat": 0}) == []
    assert counts.problems({"events": 2, "counted": 2, "bot": 0, "duplicate": 0, "repeat": 0}) == [
        "counted: 2 instead of 1",
        "bot: 0 instead of 1",
    ]


def test_a_result_says_what_it_rests_on() -> None:
    result = shaped("pipeline", {"events_per_second": 123456.7, "ratio": 0.123456}, quick=True, runs=1)
    assert (result["events_per_second"], result["ratio"]) == (123457, 0.1235)
    assert (result["part"], result["quick"], result["runs"], result["statistic"]) == (
        "pipeline",
        True,
        1,
        "single run",
    )
    assert {"cpu", "cores", "ram_gb", "python", "engine", "brokers"} <= result["machine"].keys()
    json.dumps(result)


def test_tables_are_written_where_the_page_has_a_place_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "README.md"
    text = tables.PAGE.read_text()
    stale = text.replace("| Clickmill worker, everything on | ", "| Clickmill worker, everything on | 999")
    assert stale != text
    page.write_text(stale)
    results = tables.PAGE.parent
    monkeypatch.setattr(tables, "PAGE", page)
    assert tables.write_tables(results) == []
    assert page.read_text() == text, "`python -m bench tables` was not run"


def test_medians_of_numbers_and_the_first_of_words() -> None:
    rows = [{"rate": 1.0, "name": "a", "right": True}, {"rate": 5.0, "name": "a", "right": True}]
    assert medians([*rows, {"rate": 2.0, "name": "a", "right": True}]) == {"rate": 2.0, "name": "a", "right": True}


def test_rounding_keeps_whole_numbers() -> None:
    assert rounded({"a": 3, "b": [0.00012345], "c": "x"}) == {"a": 3, "b": [0.0001234], "c": "x"}
