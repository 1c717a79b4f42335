"""The importers: small lines by hand, and the real files with their known counts."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from ingest.event import Click, Fault, Rejected, clicked_at_ms
from ingest.importers import bitly, combined
from ingest.importers.lines import MAX_LINE_BYTES, DamagedFile, Outcome, Skipped
from ingest.importers.run import Summary, run_import
from rollups.bots.detection import is_bot

DATA = Path(__file__).parents[5] / "shared" / "data"
EVENT = b'{"clicked_at": 1, "account_id": 1, "domain": "vvd.bz", "link_id": "a"}'


def imported(path: Path, kind: str, **options: Any) -> tuple[list[Click], Summary]:
    clicks: list[Click] = []

    async def send(click: Click) -> asyncio.Future[Any]:
        clicks.append(click)
        acknowledgement: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        acknowledgement.set_result(None)
        return acknowledgement

    return clicks, asyncio.run(run_import(send, path, kind, **options))


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the repository, in ../shared/data")
    return path


# -- reading lines ------------------------------------------------------------------------------------------


def test_every_line_is_accounted_for(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    long = b'{"x": "' + b"y" * MAX_LINE_BYTES + b'"}'
    file.write_bytes(b"\n".join([EVENT, b"", b"nonsense", EVENT, long, b"{}", b"\xff", EVENT]))
    clicks, summary = imported(file, "events")
    assert (len(clicks), summary.accepted) == (3, 3)
    assert summary.skipped == {Skipped.BLANK: 1}
    assert summary.rejected == {Fault.NOT_JSON: 1, Fault.TOO_LARGE: 1, Fault.TIME_MISSING: 1, Fault.NOT_UTF8: 1}
    text = str(summary)
    assert "3 clicks accepted" in text
    assert "line 3: the value is not JSON" in text
    assert "line 5: the line has more than" in text
    assert len(text) < 2000


def test_only_the_first_bad_lines_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"bad\n" * 1000)
    _, summary = imported(file, "events")
    assert summary.rejected == {Fault.NOT_JSON: 1000}
    assert len(str(summary).splitlines()) == 7


def test_ids_follow_from_name_line_and_place(tmp_path: Path) -> None:
    with_id = b'{"event_id": "mine", ' + EVENT[1:]
    log, again, packed, grown, other = (
        tmp_path / name for name in ("log", "again/log", "log.gz", "grown/log", "elsewhere/log")
    )
    for path in (log, again, packed, grown, other):
        path.parent.mkdir(exist_ok=True)
    content = b"\n".join([EVENT, EVENT, with_id])
    log.write_bytes(content)
    again.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    grown.write_bytes(content + b"\n" + EVENT)
    other.write_bytes(content.replace(b"vvd.bz", b"go.example"))
    ids = {
        path: [click.event_id for click in imported(path, "events")[0]] for path in (log, again, packed, grown, other)
    }
    assert ids[log] == ids[again] == ids[packed] == ids[grown][:3]
    assert len(set(ids[grown])) == 4
    assert ids[log][2] == "mine"
    assert set(ids[log]) & set(ids[other]) == {"mine"}
    assert all(len(identity or "") <= 64 for identity in ids[log])


@pytest.mark.parametrize("cut", [-4, -40])
def test_a_damaged_file_is_told(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "log.gz"
    file.write_bytes(gzip.compress(EVENT * 10 + b"\n")[:cut])
    with pytest.raises(DamagedFile, match=r"log\.gz is damaged after line"):
        imported(file, "events")


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert str(imported(tmp_path / "empty", "events")[1]) == "0 clicks accepted"


def test_an_unknown_format_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="events, bitly, combined"):
        imported(tmp_path / "empty", "csv")


def test_a_failed_delivery_ends_the_import(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(EVENT)

    async def send(_: Click) -> asyncio.Future[Any]:
        acknowledgement: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        acknowledgement.set_exception(RuntimeError("not delivered"))
        return acknowledgement

    with pytest.raises(RuntimeError, match="not delivered"):
        asyncio.run(run_import(send, tmp_path / "log", "events"))


# -- bitly --------------------------------------------------------------------------------------------------

FEED = {"a": "Firefox", "c": "US", "tz": "UTC", "h": "wfLQtf", "l": "orofrog", "hh": "1.usa.gov", "r": "direct"}
FEED |= {"u": "http://WWW.nasa.gov:80/x", "cy": "Danvers"}


def feed(**fields: Any) -> bytes:
    return json.dumps({**FEED, "t": 1_331_923_247, "nk": 1, "ll": [42.5, -70.9], **fields}).encode()


def number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest(), "big")


def test_a_line_of_the_feed_is_mapped_as_documented() -> None:
    assert bitly.parse(feed()) == Click(
        clicked_at=1_331_923_247_000,
        account_id=number("orofrog"),
        domain="https://1.usa.gov",
        link_id="wfLQtf",
        publisher_id=number("orofrog"),
        advertiser_id=number("www.nasa.gov"),
        network_id=number("1.usa.gov"),
        visitor_id=blake2b(b"Firefox\0UTC\0US\0\0Danvers", digest_size=16).hexdigest(),
        user_agent="Firefox",
        country="US",
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"{", Fault.NOT_JSON),
        (b'{"a": "\xff"}', Fault.NOT_UTF8),
        (b'{"x": ' + b"[" * 100_000, Fault.TOO_DEEP),
        (b"{}", Fault.TIME_MISSING),
        (feed(t=None), Fault.TIME_MISSING),
        (feed(t="x"), Fault.WRONG_TYPE),
        (feed(t=-1), Fault.TIME_INVALID),
        (feed(l=None), Fault.LINK_INCOMPLETE),
        (feed(h=""), Fault.LINK_INCOMPLETE),
        (feed(u="nonsense"), Fault.AFFILIATE_INCOMPLETE),
        (feed(u="http://["), Fault.AFFILIATE_INCOMPLETE),
    ],
)
def test_a_bad_line_of_the_feed_is_named(line: bytes, fault: Fault) -> None:
    outcome = bitly.parse(line)
    assert isinstance(outcome, Rejected)
    assert outcome.fault == fault


def test_the_real_feed_has_its_known_counts() -> None:
    path = real("usagov-2012-03-16.jsonl")
    clicks, summary = imported(path, "bitly")
    assert (summary.accepted, summary.skipped, not summary.rejected) == (3440, {Skipped.HEARTBEAT: 120}, True)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    lines = [line for line in lines if "_heartbeat_" not in line]
    assert [(c.link_id, clicked_at_ms(c) // 1000) for c in clicks] == [(line["h"], line["t"]) for line in lines]
    assert Counter(click.account_id for click in clicks) == Counter(number(line["l"]) for line in lines)
    places = {tuple(line.get(name) or "" for name in ("a", "tz", "c", "gr", "cy")) for line in lines}
    assert len({click.visitor_id for click in clicks}) == len(places)
    assert len({click.event_id for click in clicks}) == 3440


def test_the_six_real_captures_have_their_known_counts() -> None:
    real("usagov-2011-12-31-1325312949.jsonl.gz")
    files = sorted(DATA.glob("usagov-2011-12-31-*.jsonl.gz"))
    results = [imported(path, "bitly") for path in files]
    assert (len(files), sum(summary.accepted for _, summary in results)) == (6, 4040)
    assert not any(summary.rejected for _, summary in results)
    assert len({click.event_id for clicks, _ in results for click in clicks}) == 4040


# -- combined -----------------------------------------------------------------------------------------------


def line(request: str = "GET /a HTTP/1.1", referrer: str = "-", agent: str = "Firefox", user: str = "-") -> bytes:
    return f'::1 - {user} [17/May/2015:10:05:03 +0200] "{request}" 302 - "{referrer}" "{agent}"'.encode()


def parse(raw: bytes) -> Any:
    return combined.parser(7, "go.example")(raw)


def test_a_line_of_the_log_is_mapped_as_documented() -> None:
    click = parse(line(referrer="http://x.example/", user="jane doe"))
    assert clicked_at_ms(click) == 1_431_849_903_000
    assert (click.account_id, click.domain, click.link_id) == (7, "https://go.example", "a")
    assert (click.ip, click.method, click.referrer, click.user_agent) == ("::1", "GET", "http://x.example/", "Firefox")
    assert (parse(line()).referrer, parse(line(agent="-")).user_agent) == (None, None)


@pytest.mark.parametrize(
    ("target", "link"),
    [
        ("/a?utm=1", "a"),
        ("/", "/"),
        ("/?x", "/"),
        ("/a/b", "a/b"),
        ("/%ED%95%9C", "한"),
        ("/%FF", "ÿ"),
        ("//a", "/a"),
        ("*", "*"),
    ],
)
def test_the_path_is_the_link(target: str, link: str) -> None:
    assert parse(line(f"GET {target} HTTP/1.1")).link_id == link


def test_what_the_server_has_escaped_is_undone() -> None:
    click = parse(line(agent=r"a \"quoted\" \\ \xc3\xa9 \xff"))
    assert click.user_agent == 'a "quoted" \\ é ÿ'


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (line()[:-1], Fault.NOT_AN_EVENT),
        (line("-"), Fault.NOT_AN_EVENT),
        (line(r"\x16\x03\x01"), Fault.NOT_AN_EVENT),
        (line().replace(b"17/May", b"37/May"), Fault.TIME_INVALID),
        (line("GET /" + "x" * 1025 + " HTTP/1.1"), Fault.TEXT_TOO_LONG),
        (line(agent="\xff").decode().encode("latin-1"), Fault.NOT_UTF8),
        (b"- - " + b" [" * 500_000, Fault.NOT_AN_EVENT),
    ],
)
def test_a_bad_line_of_the_log_is_named(raw: bytes, fault: Fault) -> None:
    outcome = parse(raw)
    assert isinstance(outcome, Rejected)
    assert outcome.fault == fault


@pytest.mark.parametrize(
    ("read", "form"),
    [
        (parse, b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /%d%b HTTP/1.1" 200 5 "-" "-"'),
        (bitly.parse, b'{"t": 1, "l": "a", "hh": "b", "h": "c", "u": "http://a.example/%d%b"}'),
    ],
)
def test_long_urls_are_not_kept(read: Callable[[bytes], Outcome], form: bytes) -> None:
    tracemalloc.start()
    try:
        for number in range(50):
            read(form % (number, b"x" * 200_000))
        assert tracemalloc.get_traced_memory()[0] < 2_000_000  # urlsplit caches its last 128 arguments: 20 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("target", "link_id"),
    [
        ("/a?b#c", "a"),
        ("/a#b?c", "a"),
        ("/a;b/c", "a;b/c"),
        ("//a/b", "/a/b"),
        ("/?a", "/"),
        ("/%2Fa", "/a"),
        ("/[a]:b", "[a]:b"),
        ("*", "*"),
    ],
)
def test_a_link_is_the_path_of_its_target(target: str, link_id: str) -> None:
    click = parse(line(f"GET {target} HTTP/1.1"))
    assert isinstance(click, Click)
    assert click.link_id == link_id


def test_the_real_log_has_one_malformed_line_and_its_bots() -> None:
    clicks, summary = imported(real("apache-access-2015-05.log"), "combined", domain="semicomplete.com")
    assert (summary.accepted, summary.rejected) == (9999, {Fault.NOT_AN_EVENT: 1})
    assert "line 8899" in str(summary)
    assert {click.domain for click in clicks} == {"https://semicomplete.com"}
    assert Counter(click.method for click in clicks) == {"GET": 9951, "HEAD": 42, "POST": 5, "OPTIONS": 1}
    googlebot = [click for click in clicks if "Googlebot" in (click.user_agent or "")]
    assert googlebot
    assert all(is_bot(click.user_agent or "") for click in googlebot)
    assert all("\\x" not in (click.referrer or "") for click in clicks)
