"""Rules are data; they distinguish bots from people in linear time for any text."""

from __future__ import annotations

import random
import time
import tomllib
from collections import Counter
from itertools import chain
from pathlib import Path

import crawleruseragents
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollups.bots.automaton import Judge
from rollups.bots.detection import bot_kind, bot_kinds, bot_mask, is_bot, is_prefetch
from rollups.bots.rules import KEPT, OURS, Kind, Rule, Rules, kept_rules
from tests.support import bot_lists, bot_oracle

DATA = Path(__file__).parents[5] / "shared" / "data"
AGENTS = Path(__file__).parents[3] / "support" / "agents"
OUR_RULES = tomllib.loads(OURS.read_text())
KEPT_RULES = dict(kept_rules(KEPT.read_text()))
WORDS = [rule.text.strip("\n") for rule in Rules.in_force().rules]
PARTS = [
    "Mozilla/5.0 (Linux; Android 13; ",
    " Build/X",
    "; wv)",
    "(compatible; ",
    "MSIE 8.0",
    " ",
    "x",
    "/",
    "K",
    "\n",
    "é",
]


def table(name: str) -> dict[str, str]:
    return dict(line.split("\t") for line in (AGENTS / name).read_text().splitlines())


def without(part: str, entry: dict[str, str]) -> Judge:
    rest = OUR_RULES | {part: [other for other in OUR_RULES[part] if other is not entry]}
    return Judge(Rules.from_lists(KEPT_RULES, rest))


def kind_by(judge: Judge, agent: str) -> int:
    return int(judge.kinds(pa.array([agent]))[0])


@pytest.mark.parametrize(("name", "agent"), table("in_app.tsv").items())
def test_a_browser_inside_an_app_is_a_person(name: str, agent: str) -> None:
    assert bot_kind(agent) is None, name


@pytest.mark.parametrize(("name", "agent"), table("previews.tsv").items())
def test_a_link_preview_is_a_bot(name: str, agent: str) -> None:
    assert bot_kind(agent) == Kind.PREVIEW, name


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Kind.CRAWLER),
        ("python-requests/2.31.0", Kind.LIBRARY),
        ("curl/8.5.0", Kind.LIBRARY),
        ("libwww-perl/6.67", Kind.LIBRARY),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36", Kind.TOOL),
        ("Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", Kind.TOOL),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", Kind.MONITOR),
        ("Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", Kind.MONITOR),
        ("", None),
    ],
)
def test_a_verdict_has_a_kind(agent: str, kind: Kind | None) -> None:
    assert bot_kind(agent) == kind
    assert is_bot(agent) == (kind is not None)


@pytest.mark.parametrize("entry", OUR_RULES["dropped"], ids=lambda entry: entry["rule"])
def test_a_dropped_rule_matches_its_person(entry: dict[str, str]) -> None:
    assert entry["reason"]
    assert kind_by(without("dropped", entry), entry["sample"])
    assert bot_kind(entry["sample"]) is None


@pytest.mark.parametrize("entry", OUR_RULES["people"], ids=lambda entry: entry["pattern"])
def test_without_what_is_taken_out_of_agents_a_person_is_a_bot(entry: dict[str, str]) -> None:
    assert entry["reason"]
    assert kind_by(without("people", entry), entry["sample"])
    assert bot_kind(entry["sample"]) is None


@pytest.mark.parametrize("entry", OUR_RULES["added"], ids=lambda entry: entry["rule"])
def test_only_an_added_rule_tells_its_bot(entry: dict[str, str]) -> None:
    assert entry["reason"]
    assert kind_by(without("added", entry), entry["sample"]) == 0
    assert bot_kind(entry["sample"]) == Kind[entry["kind"].upper()]


def test_the_kept_rules_are_those_of_the_installed_lists() -> None:
    assert KEPT.read_text() == bot_lists.table(bot_lists.upstream())


def test_a_pattern_that_is_no_literal_has_to_be_translated() -> None:
    with pytest.raises(SystemExit, match="translated"):
        bot_lists.rules_of("new(bot)?", {})


@pytest.mark.parametrize("written", ["", "^", "Upper", "ümlaut", "two\nlines"])
def test_what_is_no_rule_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a rule"):
        Rule.read(written, Kind.CRAWLER)


def test_a_drop_of_what_is_not_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Rules.from_lists(KEPT_RULES, OUR_RULES | {"dropped": [{"rule": "nonsense"}]})


def test_the_samples_of_the_kept_list_are_bots_of_the_kind_that_the_list_says() -> None:
    said: Counter[bool] = Counter()
    for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        kinds = bot_kinds(pa.array(entry["instances"], pa.string())).tolist()
        for kind in kinds:
            said[bool(kind)] += 1
            if kind and entry["tags"] == ["social-preview"]:
                assert kind == Kind.PREVIEW, entry
    assert said[False] < 0.003 * said.total()


@pytest.mark.skipif(not DATA.exists(), reason="the lists are not beside this checkout")
@pytest.mark.parametrize(("name", "least", "most"), [("crawlers.yml", 0.87, 1.0), ("browsers.yml", 0.0, 0.015)])
def test_shares_of_the_lists_for_measurement(name: str, least: float, most: float) -> None:
    agents = bot_lists.agents(DATA / name)
    share = bot_mask(pa.array(agents)).mean()
    assert least <= share <= most, bot_lists.report(name, Rules.in_force(), agents)


@given(
    st.lists(st.lists(st.sampled_from([*WORDS, *PARTS]) | st.text(max_size=5), max_size=12).map("".join) | st.none())
)
def test_columns_are_judged_as_by_one_rule_after_the_other(agents: list[str | None]) -> None:
    expected = [(agent is not None and bot_oracle.kind(agent)) or 0 for agent in agents]
    assert bot_kinds(pa.array(agents, pa.string())).tolist() == expected
    assert [bot_kind(agent) or 0 for agent in agents if agent is not None] == [
        kind for kind, agent in zip(expected, agents, strict=True) if agent is not None
    ]


def test_a_column_may_be_a_slice_and_longer_than_what_is_looked_at_in_one_go() -> None:
    agents = pa.array([None, *["curl/8", "Mozilla/5.0 (Windows NT 10.0)", None] * 1000, "curl/8"])
    assert bot_mask(agents[1:-1]).tolist() == [True, False, False] * 1000
    assert bot_mask(pa.array([], pa.string())).tolist() == []
    assert bot_mask(pa.array([None, None], pa.string())).tolist() == [False, False]


def test_only_the_first_512_characters_count() -> None:
    assert is_bot("é" * 504 + " bot")
    assert not is_bot("é" * 510 + " bot")


def hostile(count: int) -> list[str]:
    """Different texts of 512 characters: noise, near misses, rules in a row, the beginnings of patterns for people."""
    rng = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./;() "
    makers = [
        lambda: "".join(rng.choices(letters, k=512)),
        lambda: "".join(map(chr, rng.choices(range(32, 0x2FFF), k=512))),
        lambda: rng.choice(letters) * 505,
        lambda: "".join(rng.choice(WORDS)[:-1] + rng.choice(letters) for _ in range(90)),
        lambda: "".join(rng.choice(WORDS) for _ in range(90)),
        lambda: " ".join(rng.choices(["rss", "feed", "y!j", "bw/", "ahc"], k=150)),
        lambda: "android 1;" * 50,
        lambda: "; build " * 60,
        lambda: "; build/" * 60,
        lambda: "(compatible; " * 40,
        lambda: "embedded web browser from: http://" * 14,
    ]
    return [f"{number} {makers[number % len(makers)]()}"[:512] for number in range(count)]


def test_no_text_takes_long() -> None:
    """Each took up to 30 ms by the lists' own regexes: 20,000 took minutes. They take 0.3 s on an idle core."""
    agents = pa.array(hostile(20_000))
    begun = time.process_time()
    bot_kinds(agents)
    assert time.process_time() - begun < 5


def test_many_different_usual_agents_take_no_longer_than_a_column_should() -> None:
    pool = list(chain(table("in_app.tsv").values(), table("previews.tsv").values()))
    agents = pa.array([f"{pool[number % len(pool)]} {number}" for number in range(100_000)])
    begun = time.process_time()
    bot_kinds(agents)
    assert time.process_time() - begun < 2  # 0.2 s on an idle core


def test_a_prefetch_is_told_without_reading_a_long_text_whole() -> None:
    assert is_prefetch("head", None)
    assert not is_prefetch("header", None)
    assert is_prefetch(None, "Prefetch;anonymous-client-ip")
    assert not is_prefetch(None, "x" * 512 + "prefetch")
    assert not is_prefetch(None, None)
