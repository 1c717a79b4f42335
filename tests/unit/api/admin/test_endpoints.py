"""The admin calls for the catalogue and the keys, over HTTP and the real engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.admin.endpoints import KeyRequest, check_key_request
from api.http.errors import BadRequest
from rollups.clickhouse import ClickHouse
from tests.support.seed import Callers, callers

ACCOUNT: dict[str, Any] = {"account_id": 7, "name": "A", "plan": "Premium", "time_zone": "Asia/Kolkata"}
LINK: dict[str, Any] = {"account_id": 7, "domain": "https://vvd.bz", "link_id": "x", "grp_idx": 5}
GROUP: dict[str, Any] = {"account_id": 7, "grp_idx": 5, "name": "G"}
PUBLISHER: dict[str, Any] = {"publisher_id": 45, "name": "P", "time_zone": "Europe/Berlin"}
ADVERTISER: dict[str, Any] = {"advertiser_id": 1, "name": "Alpha Store", "slug": "alpha-store"}
NETWORK: dict[str, Any] = {"network_id": 7, "name": "Awin"}
NOTHING = dict.fromkeys(("accounts", "links", "groups", "publishers", "advertisers", "networks"), 0)


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    return callers(db)


def stored(db: ClickHouse, table: str, columns: str) -> list[tuple[Any, ...]]:
    return list(db.query(f"SELECT {columns} FROM {table} FINAL ORDER BY ALL"))


def test_every_table_is_written_and_counted(db: ClickHouse, api: Callers) -> None:
    upload = {
        "accounts": [ACCOUNT],
        "links": [LINK],
        "groups": [GROUP],
        "publishers": [PUBLISHER],
        "advertisers": [ADVERTISER],
        "networks": [NETWORK],
    }
    answer = api.admin("PUT", "/catalog", upload)
    assert (answer.status_code, answer.json()) == (200, dict.fromkeys(NOTHING, 1))
    for table, entries in upload.items():
        columns = ", ".join(entries[0])
        assert stored(db, table, columns) == [tuple(entries[0].values())]


@pytest.mark.parametrize(
    ("upload", "written"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"links": []}, {}, id="empty-list"),
        pytest.param({"networks": [NETWORK]}, {"networks": 1}, id="one-table"),
        pytest.param({"networks": [NETWORK, NETWORK]}, {"networks": 1}, id="one-identity-twice"),
        pytest.param(
            {"networks": [{"network_id": n, "name": "n"} for n in range(1, 2001)]},
            {"networks": 2000},
            id="bulk",
        ),
    ],
)
def test_partial_uploads(api: Callers, upload: dict[str, Any], written: dict[str, int]) -> None:
    answer = api.admin("PUT", "/catalog", upload)
    assert (answer.status_code, answer.json()) == (200, {**NOTHING, **written})


def test_a_later_write_wins_and_the_rest_stays(db: ClickHouse, api: Callers) -> None:
    other = {"network_id": 8, "name": "Other"}
    api.admin("PUT", "/catalog", {"networks": [NETWORK, other]})
    for name in ("B", "C"):
        api.admin("PUT", "/catalog", {"networks": [{"network_id": 7, "name": name}]})
    assert stored(db, "networks", "network_id, name") == [(7, "C"), (8, "Other")]


def test_within_one_upload_the_last_of_an_identity_wins(db: ClickHouse, api: Callers) -> None:
    moved = [{**LINK, "domain": "VVD.bz/", "grp_idx": group} for group in (9, 3, 4)]
    answer = api.admin("PUT", "/catalog", {"links": [LINK, *moved]})
    assert answer.json()["links"] == 1
    assert stored(db, "links", "domain, grp_idx") == [("https://vvd.bz", 4)]


def test_defaults(db: ClickHouse, api: Callers) -> None:
    upload = {
        "accounts": [{"account_id": 1, "plan": "free"}],
        "links": [{"account_id": 1, "domain": "a.b", "link_id": "x"}],
        "publishers": [{"publisher_id": 1, "name": "P"}],
    }
    assert api.admin("PUT", "/catalog", upload).status_code == 200
    assert stored(db, "accounts", "name, plan, time_zone") == [("", "Free", "UTC")]
    assert stored(db, "links", "grp_idx") == [(0,)]
    assert stored(db, "publishers", "time_zone") == [("UTC",)]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("free", "Free"),
        ("PERSONAL", "Personal"),
        ("Premium", "Premium"),
        ("business", "Business"),
        ("business plus", "Business Plus"),
        ("EnterPrise", "Enterprise"),
    ],
)
def test_a_plan_is_stored_in_its_own_spelling(db: ClickHouse, api: Callers, given: str, canonical: str) -> None:
    api.admin("PUT", "/catalog", {"accounts": [{**ACCOUNT, "plan": given}]})
    assert stored(db, "accounts", "plan") == [(canonical,)]


@pytest.mark.parametrize(
    ("upload", "field"),
    [
        pytest.param({"accounts": [{**ACCOUNT, "plan": "Gold"}]}, "accounts.0.plan", id="unknown-plan"),
        pytest.param({"accounts": [{"account_id": 1}]}, "accounts.0.plan", id="no-plan"),
        pytest.param({"accounts": [{**ACCOUNT, "time_zone": "Mars"}]}, "accounts.0.time_zone", id="no-such-zone"),
        pytest.param({"accounts": [{**ACCOUNT, "time_zone": ""}]}, "accounts.0.time_zone", id="zone-empty"),
        pytest.param(
            {"publishers": [{**PUBLISHER, "time_zone": "../etc"}]},
            "publishers.0.time_zone",
            id="zone-is-a-path",
        ),
        pytest.param(
            {"publishers": [{**PUBLISHER, "time_zone": "Europe"}]},
            "publishers.0.time_zone",
            id="zone-is-a-folder",
        ),
        pytest.param({"accounts": [{**ACCOUNT, "account_id": 0}]}, "accounts.0.account_id", id="id-0"),
        pytest.param({"accounts": [{**ACCOUNT, "account_id": 2**63}]}, "accounts.0.account_id", id="id-too-large"),
        pytest.param({"accounts": [{**ACCOUNT, "account_id": "7"}]}, "accounts.0.account_id", id="id-is-text"),
        pytest.param({"accounts": [{**ACCOUNT, "account_id": True}]}, "accounts.0.account_id", id="id-is-true"),
        pytest.param({"accounts": [ACCOUNT, {**ACCOUNT, "x": 1}]}, "accounts.1.x", id="unknown-field"),
        pytest.param({"sites": []}, "sites", id="unknown-table"),
        pytest.param({"a\ud800": []}, "body", id="unknown-table-lone-surrogate"),
        pytest.param({"networks": [{"a\ud800": 1}]}, "networks.0", id="unknown-field-lone-surrogate"),
        pytest.param({"links": [LINK, {**LINK, "domain": "a b"}]}, "links.1.domain", id="domain-malformed"),
        pytest.param({"links": [{**LINK, "link_id": ""}]}, "links.0.link_id", id="link-empty"),
        pytest.param({"links": [{**LINK, "link_id": "x" * 1025}]}, "links.0.link_id", id="link-too-long"),
        pytest.param({"links": [{**LINK, "grp_idx": -1}]}, "links.0.grp_idx", id="group-negative"),
        pytest.param({"groups": [{**GROUP, "grp_idx": 0}]}, "groups.0.grp_idx", id="group-0-means-none"),
        pytest.param({"advertisers": [{"advertiser_id": 1, "name": "A"}]}, "advertisers.0.slug", id="no-slug"),
        pytest.param({"groups": [{**GROUP, "name": "\ud800"}]}, "groups.0.name", id="lone-surrogate"),
        pytest.param({"links": [{**LINK, "link_id": "\udfff"}]}, "links.0.link_id", id="link-lone-surrogate"),
        pytest.param({"networks": {}}, "networks", id="table-is-no-list"),
        pytest.param([], "body", id="body-is-no-object"),
    ],
)
def test_what_is_refused_names_its_place_and_writes_nothing(
    db: ClickHouse, api: Callers, upload: Any, field: str
) -> None:
    if isinstance(upload, dict):
        upload = {"networks": [NETWORK], **upload}
    answer = api.admin("PUT", "/catalog", upload)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BAD_REQUEST"
    assert answer.json()["error"]["details"] == {"field": field}
    assert stored(db, "networks", "*") == []


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        pytest.param(b'{"links":[', "application/json", id="cut-off"),
        pytest.param(b"", "application/json", id="empty"),
        pytest.param(b"\xff\xfe", "application/json", id="not-utf-8"),
        pytest.param(b"{}", "text/plain", id="not-called-json"),
        pytest.param(b"[" * 100_000, "application/json", id="nested-too-deep"),
    ],
)
def test_a_body_that_cannot_be_read(api: Callers, content: bytes, content_type: str) -> None:
    headers = {"X-Api-Key": api.keys["admin"], "Content-Type": content_type}
    answer = api.client.put("/admin/catalog", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BAD_REQUEST"


def test_life_of_a_key_through_the_calls(api: Callers) -> None:
    expires = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    request = {"role": "publisher", "publisher_id": 45, "name": "shop", "expires_at": expires.isoformat()}
    answer = api.admin("POST", "/keys", request)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert (made["role"], made["publisher_id"], made["account_id"]) == ("publisher", 45, None)
    assert (made["name"], made["revoked_at"]) == ("shop", None)
    assert datetime.fromisoformat(made["expires_at"]) == expires

    api.keys["new"] = made["key"]
    assert api.clicks("new").status_code == 200

    listed = api.admin("GET", "/keys")
    assert made["key"] not in listed.text
    assert "hash" not in listed.text
    shown = {key: value for key, value in made.items() if key != "key"}
    [entry] = [key for key in listed.json()["data"] if key["id"] == made["id"]]
    assert entry == {**shown, "last_used_at": entry["last_used_at"]}
    assert entry["last_used_at"] >= made["created_at"]

    deleted = api.admin("DELETE", f"/keys/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert api.clicks("new").status_code == 401
    assert api.admin("DELETE", f"/keys/{made['id']}").status_code == 204
    listed = api.admin("GET", "/keys").json()["data"]
    assert [key["revoked_at"] is None for key in listed if key["id"] == made["id"]] == [False]


def test_deleting_an_unknown_key(api: Callers) -> None:
    answer = api.admin("DELETE", "/keys/nope")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("request_body", "field"),
    [
        pytest.param({}, "role", id="no-role"),
        pytest.param({"role": "owner"}, "role", id="unknown-role"),
        pytest.param({"role": "publisher"}, "publisher_id", id="publisher-without-id"),
        pytest.param({"role": "publisher", "account_id": 7}, "publisher_id", id="publisher-with-account"),
        pytest.param({"role": "publisher", "publisher_id": 1, "account_id": 7}, "account_id", id="publisher-with-both"),
        pytest.param({"role": "account"}, "account_id", id="account-without-id"),
        pytest.param({"role": "account", "account_id": 0}, "account_id", id="account-0"),
        pytest.param({"role": "account", "account_id": "7"}, "account_id", id="account-is-text"),
        pytest.param({"role": "admin", "publisher_id": 45}, "publisher_id", id="admin-with-publisher"),
        pytest.param({"role": "ingest", "account_id": 7}, "account_id", id="ingest-with-account"),
        pytest.param({"role": "admin", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at", id="expired"),
        pytest.param({"role": "admin", "expires_at": "2099-01-01T00:00:00"}, "expires_at", id="no-offset"),
        pytest.param({"role": "admin", "expires_at": "2106-02-07T06:28:16Z"}, "expires_at", id="past-2106"),
        pytest.param({"role": "admin", "expires_at": "soon"}, "expires_at", id="no-time"),
        pytest.param({"role": "admin", "name": "\ud800"}, "name", id="lone-surrogate"),
        pytest.param({"role": "admin", "key": "mine"}, "key", id="unknown-field"),
    ],
)
def test_keys_that_are_refused(db: ClickHouse, api: Callers, request_body: dict[str, Any], field: str) -> None:
    before = db.query("SELECT count() FROM api_keys")
    answer = api.admin("POST", "/keys", request_body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == {"field": field}
    assert db.query("SELECT count() FROM api_keys") == before


def test_a_key_must_expire_later_than_now() -> None:
    at = datetime(2027, 1, 1, tzinfo=UTC)
    request = KeyRequest(role="admin", expires_at=at)
    check_key_request(request, at.timestamp() - 0.001)
    with pytest.raises(BadRequest):
        check_key_request(request, at.timestamp())


def test_a_key_is_rotated_through_the_calls(api: Callers) -> None:
    made = api.admin("POST", "/keys", {"role": "publisher", "publisher_id": 45, "requests_per_hour": 9}).json()
    answer = api.admin("POST", f"/keys/{made['id']}/rotate", {"overlap_seconds": 3600})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    new = answer.json()
    assert (new["role"], new["publisher_id"], new["requests_per_hour"]) == ("publisher", 45, 9)
    api.keys |= {"old": made["key"], "new": new["key"]}
    assert [api.clicks(role).status_code for role in ("old", "new")] == [200, 200]
    [old] = [key for key in api.admin("GET", "/keys").json()["data"] if key["id"] == made["id"]]
    assert 3500 < (datetime.fromisoformat(old["expires_at"]) - datetime.now(UTC)).total_seconds() <= 3600
    assert api.admin("POST", f"/keys/{made['id']}/rotate", {"overlap_seconds": 0}).status_code == 201
    assert [api.clicks(role).status_code for role in ("old", "new")] == [401, 200]


@pytest.mark.parametrize(
    ("key_id", "body", "status"),
    [
        ("nope", {}, 404),
        ("settings", {}, 404),
        ("nope", {"overlap_seconds": -1}, 400),
        ("nope", {"overlap_seconds": "1"}, 400),
        ("nope", {"more": 1}, 400),
    ],
)
def test_rotations_that_are_refused(api: Callers, key_id: str, body: dict[str, Any], status: int) -> None:
    assert api.admin("POST", f"/keys/{key_id}/rotate", body).status_code == status


@pytest.mark.parametrize("limit", [0, -1, 10**10, "5", 1.5, True])
def test_a_limit_that_is_none(api: Callers, limit: Any) -> None:
    answer = api.admin("POST", "/keys", {"role": "admin", "requests_per_hour": limit})
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"field": "requests_per_hour"})


@pytest.mark.parametrize("role", [{"role": "account", "account_id": 7}, {"role": "ingest"}])
def test_roles_that_are_not_limited_by_key_have_no_such_limit(api: Callers, role: dict[str, object]) -> None:
    answer = api.admin("POST", "/keys", {**role, "requests_per_hour": 5})
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"field": "requests_per_hour"})
