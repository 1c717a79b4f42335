"""The list of groups, and pages of groups, over the real engine, as in contract §2."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import ACCOUNT, DOMAIN, Callers, account_on, callers, upsert

V1, V2 = "/api/link-group/v1/list", "/api/link-group/v2/list"
CLICKS_V1, CLICKS_V2 = "/api/link/v1/clicks-by-group", "/api/link/v2/clicks-by-group"
DAYS = {"startYmd": "2026-03-30", "endYmd": "2026-04-01"}


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def result(answer: Any) -> Any:
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 0, "")
    return body["result"]


def group(db: ClickHouse, grp_idx: int, name: str = "", account_id: int = ACCOUNT, memo: str = "") -> None:
    upsert(db, groups=[{"account_id": account_id, "grp_idx": grp_idx, "name": name, "memo": memo}])


def groups(db: ClickHouse, count: int) -> None:
    upsert(db, groups=[{"account_id": ACCOUNT, "grp_idx": n, "name": f"g{n}"} for n in range(1, count + 1)])


def link(db: ClickHouse, link_id: str, grp_idx: int, account_id: int = ACCOUNT) -> None:
    upsert(db, links=[{"account_id": account_id, "domain": DOMAIN, "link_id": link_id, "grp_idx": grp_idx}])


def made_at(db: ClickHouse, grp_idx: int, created: str, version: str) -> None:
    """Inserts a group that was created and changed at these times (UTC)."""
    db.command(
        "INSERT INTO groups (account_id, grp_idx, name, created_at, version) "
        f"VALUES ({ACCOUNT}, {grp_idx}, 'old', '{created}', '{version}')"
    )


def test_an_item_has_the_keys_of_the_original(db: ClickHouse, api: Callers) -> None:
    account_on(db, "Enterprise", "Asia/Kathmandu")
    made_at(db, 151, "2026-03-30 18:15:00", "2026-03-31 18:14:59.999999")
    link(db, "a", 151)
    [item] = result(api.shortener(V2))["list"]
    assert list(item) == [
        *("idx", "nm", "memo", "linkCnt", "blockOverseasSticsYn", "notfSubscYn", "qrBypassYn", "kakaoNotifyYn"),
        *("pushNotifyYn", "mailNotifyYn", "webhookEnableYn", "webhookCallbackUrl", "webhookMetric"),
        *("webhookFrequency", "regYmdt", "modYmdt"),
    ]
    assert {value for name, value in item.items() if name.endswith("Yn")} == {"N"}
    assert {item[name] for name in item if name.startswith("webhook") and not name.endswith("Yn")} == {None}
    assert (item["idx"], item["nm"], item["memo"], item["linkCnt"]) == (151, "old", "", 1)
    assert (item["regYmdt"], item["modYmdt"]) == ("2026-03-31 00:00:00", "2026-03-31 23:59:59")


def test_v1_is_the_same_items_as_a_bare_array(db: ClickHouse, api: Callers) -> None:
    groups(db, 3)
    assert result(api.shortener(V1)) == result(api.shortener(V2))["list"]


@pytest.mark.parametrize(
    ("count", "page", "listed", "next_page", "more"),
    [
        pytest.param(0, 1, 0, 1, "N", id="none"),
        pytest.param(29, 1, 29, 1, "N", id="29"),
        pytest.param(30, 1, 30, 1, "N", id="30-one-full-page"),
        pytest.param(31, 1, 30, 2, "Y", id="31-first-page"),
        pytest.param(31, 2, 1, 2, "N", id="31-last-page"),
        pytest.param(60, 2, 30, 2, "N", id="60-last-page-full"),
        pytest.param(31, 3, 0, 3, "N", id="past-the-end"),
        pytest.param(31, 10**9, 0, 10**9, "N", id="far-past-the-end"),
    ],
)
@pytest.mark.parametrize("path", [V2, CLICKS_V1, CLICKS_V2], ids=["list", "clicks-v1", "clicks-v2"])
def test_pages_of_30(
    db: ClickHouse, api: Callers, path: str, count: int, page: int, listed: int, next_page: int, more: str
) -> None:
    groups(db, count)
    found = result(api.shortener(path, pages=page, ymd="2026-03-31", **DAYS))
    assert found["extra"] == {
        "pages": page,
        "nextPages": next_page,
        "nextYn": more,
        "count": listed,
        "totalCount": count,
    }
    first = (page - 1) * 30 + 1
    numbers = [item.get("idx") or item["grpIdx"] for item in found["list"]]
    assert numbers == list(range(first, first + listed))


def test_v1_lists_at_most_30(db: ClickHouse, api: Callers) -> None:
    groups(db, 31)
    assert len(result(api.shortener(V1))) == 30
    assert len(result(api.shortener(V1, pages=2))) == 30, "version 1 has no pages"


@pytest.mark.parametrize(
    ("part", "found"),
    [
        pytest.param("news", [1, 2], id="either-case"),
        pytest.param("LETTER", [1], id="inside"),
        pytest.param("ÉTÉ", [3], id="either-case-beyond-ascii"),
        pytest.param("%", [4], id="percent-is-itself"),
        pytest.param("_", [], id="underscore-is-itself"),
        pytest.param("", [1, 2, 3, 4], id="empty-is-in-every-name"),
    ],
)
def test_nm_is_a_part_of_the_name(db: ClickHouse, api: Callers, part: str, found: list[int]) -> None:
    for number, name in enumerate(("Newsletter", "Old NEWS", "Soldes d'été", "10 %"), 1):
        group(db, number, name)
    assert [item["idx"] for item in result(api.shortener(V1, nm=part))] == found
    assert result(api.shortener(V2, nm=part))["extra"]["totalCount"] == len(found)


def test_grp_idx_picks_one_group_of_the_account(db: ClickHouse, api: Callers) -> None:
    groups(db, 3)
    group(db, 9, "theirs", account_id=8)
    assert [item["idx"] for item in result(api.shortener(V2, grpIdx=2))["list"]] == [2]
    assert result(api.shortener(V2, grpIdx=2, nm="no"))["list"] == []
    for path in (V1, V2):
        foreign, unknown = (api.shortener(path, grpIdx=number).json() for number in (9, 10))
        assert foreign == unknown
        assert unknown["code"] == 1004


def test_link_count_is_of_the_links_that_are_in_the_group_now(db: ClickHouse, api: Callers) -> None:
    groups(db, 2)
    for name in ("a", "b"):
        link(db, name, 1)
    link(db, "b", 2)
    link(db, "c", 0)
    link(db, "a", 1, account_id=8)
    assert [item["linkCnt"] for item in result(api.shortener(V1))] == [1, 1]


def test_a_group_that_only_links_name_is_listed_without_what_nobody_knows(db: ClickHouse, api: Callers) -> None:
    link(db, "a", 5)
    [item] = result(api.shortener(V1))
    known = {name: item[name] for name in ("idx", "nm", "memo", "linkCnt", "regYmdt", "modYmdt")}
    assert known == {"idx": 5, "nm": None, "memo": None, "linkCnt": 1, "regYmdt": None, "modYmdt": None}
    assert result(api.shortener(CLICKS_V2, **DAYS))["list"] == [
        {"grpIdx": 5, "grpNm": None, "acesCnt": 0, "pernCnt": 0}
    ]


def test_a_group_written_again_keeps_its_first_time_and_one_that_is_the_same_its_last(
    db: ClickHouse, api: Callers
) -> None:
    made_at(db, 1, "2020-01-01 00:00:00", "2021-01-01 00:00:00")

    def put(name: str, memo: str) -> dict[str, Any]:
        entry = {"account_id": ACCOUNT, "grp_idx": 1, "name": name, "memo": memo}
        assert api.admin("PUT", "/catalog", {"groups": [entry]}).json()["groups"] == 1
        [item] = result(api.shortener(V1))
        assert (item["nm"], item["memo"], item["regYmdt"]) == (name, memo, "2020-01-01 00:00:00")
        return dict(item)

    assert put("old", "")["modYmdt"] == "2021-01-01 00:00:00", "nothing was changed"
    before = int(time.time())
    changed = datetime.fromisoformat(put("old", "noted")["modYmdt"]).replace(tzinfo=ZoneInfo("UTC"))
    assert before <= changed.timestamp() <= time.time()
    assert put("new", "noted")["modYmdt"] > "2021"


def test_many_groups_keep_their_times(db: ClickHouse, api: Callers) -> None:
    entries = [{"account_id": account, "grp_idx": n, "name": "a"} for account in (7, 8) for n in range(1, 1501)]
    upsert(db, groups=entries)
    db.command("INSERT INTO groups SELECT * REPLACE ('2020-01-01' AS created_at, now64(6) AS version) FROM groups")
    upsert(db, groups=[{**entry, "name": "b"} for entry in entries])
    made = db.query("SELECT DISTINCT name, toString(created_at) FROM groups FINAL")
    assert made == [("b", "2020-01-01 00:00:00")]
