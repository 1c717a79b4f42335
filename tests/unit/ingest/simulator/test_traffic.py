"""The simulator: equal for equal seeds, with its proportions, and named by its catalogue."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.catalog.entries import CatalogUpload
from ingest.event import Click, clicked_at_ms, encode, user_identity, validate_and_normalize
from ingest.simulator.traffic import demo_catalog, run_simulation, simulate
from rollups.bots.detection import is_bot, is_prefetch
from tests.support import some

START = 1_767_225_600_000  # a midnight, UTC
DAY = 86_400
COUNT = 20_000


@pytest.fixture(scope="module")
def clicks() -> list[Click]:
    return list(simulate(1, START, 2 * DAY, COUNT))


@pytest.fixture(scope="module")
def distinct(clicks: list[Click]) -> list[Click]:
    first: dict[str | None, Click] = {}
    for click in clicks:
        first.setdefault(click.event_id, click)
    return list(first.values())


def test_a_seed_gives_the_same_clicks(clicks: list[Click]) -> None:
    assert clicks == list(simulate(1, START, 2 * DAY, COUNT))
    assert clicks[:100] != list(simulate(2, START, 2 * DAY, COUNT))[:100]


def test_every_click_is_valid_and_in_the_window(clicks: list[Click]) -> None:
    assert len(clicks) == COUNT
    assert not any(validate_and_normalize(click) for click in clicks)
    assert all(START <= clicked_at_ms(click) < START + 2 * DAY * 1000 for click in clicks)


def test_new_clicks_are_in_order_of_time_with_uuids(distinct: list[Click]) -> None:
    assert all(clicked_at_ms(one) <= clicked_at_ms(other) for one, other in some(pairwise(distinct)))
    assert {uuid.UUID(click.event_id).version for click in distinct[:1000]} == {7}


def test_retries_are_the_same_event_again(clicks: list[Click]) -> None:
    payloads: dict[str | None, bytes] = {}
    for click in clicks:
        assert payloads.setdefault(click.event_id, encode(click)) == encode(click)
    assert 0.007 < 1 - len(payloads) / COUNT < 0.013


def test_shares_of_bots_prefetches_and_subjects(distinct: list[Click]) -> None:
    count = len(distinct)
    bots = [click for click in distinct if is_bot(click.user_agent or "")]
    prefetches = [click for click in distinct if is_prefetch(click.method, click.purpose)]
    assert 0.02 < len(bots) / count < 0.04
    assert 0.005 < len(prefetches) / count < 0.015
    assert {click.method for click in prefetches} == {"GET", "HEAD"}
    kinds = Counter((click.link_id is not None, click.network_id is not None) for click in distinct)
    assert all(kinds[kind] / count > 0.02 for kind in [(True, True), (True, False), (False, True)])


def test_few_links_have_most_clicks_and_users_come_back(distinct: list[Click]) -> None:
    links = Counter(click.link_id for click in distinct if click.link_id)
    assert sum(count for _, count in links.most_common(len(links) // 10)) / links.total() > 0.4
    assert len(links) > 150
    users = Counter(user_identity(click) for click in distinct)
    assert 1000 < len(users) <= 5001
    assert sum(count > 1 for count in users.values()) / len(users) > 0.5
    assert {click.visitor_id is None for click in distinct} == {True, False}


def test_evenings_are_busier_than_mornings(distinct: list[Click]) -> None:
    hours = Counter(clicked_at_ms(click) // 3_600_000 % 24 for click in distinct)
    assert len(hours) == 24
    assert hours[20] > 2 * hours[8]


def test_the_catalogue_names_what_is_clicked(distinct: list[Click]) -> None:
    catalog = demo_catalog(1)
    CatalogUpload.model_validate(catalog)
    links = {(link["account_id"], link["domain"], link["link_id"]) for link in catalog["links"]}
    groups = {(group["account_id"], group["grp_idx"]) for group in catalog["groups"]}
    assert {(click.account_id, click.domain, click.link_id) for click in distinct if click.link_id} <= links
    assert {(link["account_id"], link["grp_idx"]) for link in catalog["links"] if link["grp_idx"]} <= groups
    for table, name in [("publishers", "publisher_id"), ("advertisers", "advertiser_id"), ("networks", "network_id")]:
        assert {getattr(click, name) for click in distinct} - {None} == {entry[name] for entry in catalog[table]}
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    minutes = {noon.astimezone(ZoneInfo(account["time_zone"])).minute for account in catalog["accounts"]}
    assert minutes == {0, 30}


class Clock:
    """A clock that advances whenever it is read, which a run does before each burst."""

    def __init__(self) -> None:
        self.seconds = START / 1000

    def __call__(self) -> float:
        self.seconds += 0.02
        return self.seconds


def run(count: int, rate: float, fail_after: int | None = None) -> tuple[list[Click], Any]:
    sent: list[Click] = []

    async def send(click: Click) -> asyncio.Future[Any]:
        sent.append(click)
        acknowledgement: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if fail_after is not None and len(sent) > fail_after:
            acknowledgement.set_exception(RuntimeError("not delivered"))
        else:
            acknowledgement.set_result(None)
        return acknowledgement

    return sent, asyncio.run(run_simulation(send, seed=1, count=count, rate=rate, progress=False, clock=Clock()))


def test_a_run_keeps_its_pace_and_count() -> None:
    sent, result = run(count=500, rate=1000)
    assert (len(sent), result.events) == (500, 500)
    assert 0.4 < result.seconds < 0.7
    assert "500 events" in str(result)
    assert {click.link_id for click in sent} == {click.link_id for click in run(count=500, rate=1000)[0]}


def test_a_failed_delivery_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="not delivered"):
        run(count=500, rate=1000, fail_after=100)
