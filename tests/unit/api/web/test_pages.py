"""The pages as HTTP: policy, caching, errors for browsers and for API clients."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from api.web.pages import PAGES
from tests.support import some
from tests.support.seed import Away

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NAVIGATION = BROWSER | {"Sec-Fetch-Mode": "navigate"}
DEMO_KEY = "cm_of-the-demonstration"
PATHS = [page.path for page in PAGES]


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(Away(), Settings(), demo_keys={"account": DEMO_KEY})) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_a_page_runs_under_a_strict_policy(client: TestClient, path: str) -> None:
    page = client.get(path, headers=BROWSER)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    [import_map] = re.findall(r'<script type="importmap">(.*?)</script>', page.text)
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert not re.search(r"<style| style=| on\w+=", page.text)
    assert all("src=" in tag or "importmap" in tag for tag in some(re.findall(r"<script[^>]*>", page.text)))


@pytest.mark.parametrize("path", PATHS)
def test_what_a_page_loads_is_there_and_kept_for_ever(client: TestClient, path: str) -> None:
    page = client.get(path, headers=BROWSER)
    for url in some(re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.text)):
        for encoding in ("gzip", "identity"):
            file = client.get(url, headers={"Accept-Encoding": encoding})
            assert file.status_code == 200
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file.headers.get("content-encoding", "identity") == encoding


def test_keys_of_the_demonstration_are_asked_for_and_in_no_page(client: TestClient) -> None:
    assert client.get("/demo-keys").json() == {"account": DEMO_KEY}
    assert all(DEMO_KEY not in client.get(path, headers=BROWSER).text for path in some(PATHS))


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/clicks", "/api/v1/nothing"])
def test_a_browser_sees_a_page_where_an_api_client_sees_json(client: TestClient, path: str) -> None:
    status = 401 if path == "/api/v1/clicks" else 404
    for headers, kind in ((NAVIGATION, "text/html"), ({"Accept": "*/*"}, "application/json"), ({}, "application/json")):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, kind)
        assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


@pytest.mark.parametrize("path", ["/api/v1/clicks", "/api/v1/nothing", "/admin/keys", "/mcp/nothing"])
def test_a_call_answers_in_json_to_a_client_that_names_html_first(client: TestClient, path: str) -> None:
    java = {"Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}
    assert client.get(path, headers=java).headers["content-type"] == "application/json"
    assert client.get("/nothing", headers=java).headers["content-type"].startswith("text/html")


def test_text_from_outside_is_no_markup_in_an_error_page(client: TestClient) -> None:
    page = client.get("/api/v1/clicks?api_key=<img src=x onerror=alert(1)>", headers=NAVIGATION)
    assert page.status_code == 401
    assert "<img" not in page.text
    assert "<script>alert" not in client.get("/<script>alert(1)</script>", headers=BROWSER).text


def test_a_file_of_another_version_is_missing(client: TestClient) -> None:
    assert client.get("/assets/static/app/main.000000000000.js").status_code == 404
    assert client.get("/assets/../../settings.py").status_code == 404


def test_pages_can_be_switched_off() -> None:
    client = TestClient(create_app(Away(), Settings(web="off")))
    for path in some([*PATHS, "/demo-keys"]):
        page = client.get(path, headers=BROWSER)
        assert (page.status_code, page.headers["content-type"]) == (404, "application/json")
