"""Every response conforms to the OpenAPI document: generated requests to each call, with every kind of key.

Calls are taken from the document, so new ones are included.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.access.keys import KeyRing
from api.access.plans import DEFAULTS
from api.app import create_app
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.seed import (
    ADMIN_KEY,
    DOMAIN,
    PUBLISHER,
    UNKNOWN_KEY,
    Away,
    Daily,
    Hourly,
    account_on,
    insert_daily,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)

CASES = 2_000
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ACCEPT = ["application/json", "*/*", "text/csv", "application/x-ndjson", "application/vnd.apache.parquet", "text/html"]

# What random data would hardly hit. Half of the cases have these in the place of what was generated; None: nothing.
PLAUSIBLE: dict[str, list[Any]] = {
    "start_date": ["2026-03-01", "2026-03-31"],
    "end_date": ["2026-03-31"],
    "cursor": [None, None, "start"],
    "after": [None, None, "start"],
    "publisher_id": [None, PUBLISHER],
    "page": [None, 1, 2],
    "per_page": [None, 1],
    "limit": [None, 2],
    "from": ["2026-03-01"],
    "to": ["2026-03-31"],
    "interval": [None, "day", "week"],
    "compare": [None, "previous"],
    "by": ["link", "advertiser"],
    "account_id": [None, 1001],
    "advertiser_id": [None, 1],
    "network_id": [None],
    "ymd": ["2026-03-31"],
    "startYmd": ["2026-03-29", "2026-03-31"],
    "endYmd": ["2026-03-31"],
    "linkId": [None, "abc"],
    "domain": [None, DOMAIN],
    "grpIdx": [None, 5],
    "grpIdxList": [None, "5", "5,6"],
    "pages": [None, 1, 2],
    "fill": [None, "1"],
    "need": ["clicks of last week", "top 10 links as CSV"],
    "today": [None, "2026-03-31"],
}
DOCUMENT = create_app(Away(), Settings(admin_key=ADMIN_KEY)).openapi()
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]
TAKING_DATA = [
    (method, path)
    for method, path in OPERATIONS
    if {"parameters", "requestBody"} & DOCUMENT["paths"][path][method.lower()].keys()
]
STREAMS = ["/api/v1/live"]  # refused here, since they do not end: see live/test_endpoint.py
OF_KAFKA = ["/admin/lag", "/admin/dead-letters"]  # 503 here: see integration/test_audit_and_dead_letters.py
PLAN_NAMES = [plan.name for plan in DEFAULTS]
tried: Counter[tuple[str, str]] = Counter()


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document, in which objects that list their properties have no others."""
    document = copy.deepcopy(document)
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


class Served:
    """The application over a database with data, its document, and the headers of each kind of caller."""

    def __init__(self, db: ClickHouse) -> None:
        most = {"per_minute": 100_000_000, "per_hour": 1_000_000_000}
        plans = json.dumps(dict.fromkeys(PLAN_NAMES, most))
        chosen = Settings(admin_key=ADMIN_KEY, plans=plans, kafka_url="127.0.0.1:1")
        ring = KeyRing(db, chosen)
        app = create_app(db, chosen, keys=ring)
        self.schema = schemathesis.openapi.from_dict(closed(app.openapi()))
        self.schema.app = app
        self.session = asgi.get_client(cast(Any, app))
        self.callers = {
            "nobody": {},
            "unknown": {"X-Api-Key": UNKNOWN_KEY, "Authorization": f"APIKey {UNKNOWN_KEY}"},
            "admin": {"X-Api-Key": ADMIN_KEY},
            "bearer": {"Authorization": f"Bearer {ADMIN_KEY}"},
            "publisher": {"X-Api-Key": ring.create("publisher", publisher_id=PUBLISHER)[1]},
            "limited": {"X-Api-Key": ring.create("admin", requests_per_hour=3)[1]},
            "ingest": {"X-Api-Key": ring.create("ingest")[1]},
        }
        for number, name in enumerate(PLAN_NAMES, 1001):
            account_on(db, name, "Europe/Berlin", account_id=number)
            key = ring.create("account", account_id=number)[1]
            self.callers[name] = {"Authorization": f"APIKey {key}", "X-Api-Key": key}
            rows = [Hourly("2026-03-31", 4, 3, users=[1, 2], link=link, account=number) for link in ("abc", "")]
            insert_hourly(db, rows)
            link = {"account_id": number, "domain": DOMAIN, "link_id": "abc", "grp_idx": 5}
            upsert(db, links=[link], groups=[{"account_id": number, "grp_idx": 5, "name": "spring"}])


@pytest.fixture(scope="module")
def served(engine: ClickHouse) -> Iterator[Served]:
    insert_daily(engine, [Daily("2026-03-31", clicks=n, advertiser=n, publisher=44 + n % 2) for n in range(1, 6)])
    insert_source(engine, 1, "2026-04-01 00:00:00")
    insert_watermark(engine, 1, 0, "2026-04-01 10:00:00")
    served = Served(engine)
    with served.session:
        yield served
    asgi.shutdown_lifespans()  # while ClickHouse is still there


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_nothing_is_answered_outside_the_document(served: Served, method: str, path: str) -> None:
    operation = served.schema[path][method]
    takes_data = (method, path) in TAKING_DATA
    generated = operation.as_strategy()
    if takes_data:
        generated |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    names = {parameter.name for parameter in operation.query} & PLAUSIBLE.keys()
    likely = (
        PLAN_NAMES if "APIKey" in str(operation.definition.raw.get("security")) else ["admin", "bearer", "publisher"]
    )

    checks = CHECKS[1:] if path in OF_KAFKA else CHECKS

    @settings(
        max_examples=CASES // len(TAKING_DATA) if takes_data else 50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=generated,
        caller=st.sampled_from(likely) | st.sampled_from(sorted(served.callers)),
        accept=st.sampled_from(ACCEPT),
        plausible=st.just({}) | st.fixed_dictionaries({name: st.sampled_from(PLAUSIBLE[name]) for name in names}),
    )
    def conforms(case: Any, caller: str, accept: str, plausible: dict[str, Any]) -> None:
        tried[method, path] += 1
        case.query = {name: value for name, value in {**(case.query or {}), **plausible}.items() if value is not None}
        accept = "application/json" if path in STREAMS else accept
        headers = {"Accept": accept, **served.callers[caller]}
        case.call_and_validate(session=served.session, headers=headers, checks=checks)

    conforms()


def test_enough_was_tried() -> None:
    if len(tried) < len(OPERATIONS):
        pytest.skip("only some of the calls were tried")
    assert sum(tried.values()) >= CASES


@pytest.mark.parametrize(
    ("part", "value"),
    [
        pytest.param(("responses", "401"), None, id="status"),
        pytest.param(("responses", "401", "content"), {"text/html": {}}, id="content-type"),
        pytest.param(("responses", "401", "headers", "X-Never"), {"required": True, "schema": {}}, id="header"),
        pytest.param(("responses", "401", "content", "application/json", "schema"), {"type": "array"}, id="schema"),
    ],
)
def test_an_answer_outside_the_document_is_found(served: Served, part: tuple[str, ...], value: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    *place, last = part
    described = document["paths"]["/api/v1/clicks"]["get"]
    for name in place:
        described = described[name]
    described[last] = value
    if value is None:
        del described[last]
    schema = schemathesis.openapi.from_dict(document)
    schema.app = served.schema.app
    case = schema["/api/v1/clicks"]["GET"].Case(query={"start_date": "2026-03-01", "end_date": "2026-03-31"})
    with pytest.raises(FailureGroup):
        case.call_and_validate(session=served.session, checks=CHECKS)


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def described() -> Iterator[tuple[str, Any, Any]]:
    """The place of each example, the example, and its schema."""
    for method, path in OPERATIONS:
        operation = DOCUMENT["paths"][path][method.lower()]
        for parameter in operation.get("parameters", []):
            for example in parameter["schema"].get("examples", []):
                yield f"{method} {path} {parameter['name']}", example, parameter["schema"]
        body = operation.get("requestBody", {"content": {}})["content"]
        for schema in (content["schema"] for content in body.values()):
            for example in DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"]:
                yield f"{method} {path} body", example, schema
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                examples = [example["value"] for example in content.get("examples", {}).values()]
                for example in [*examples, *([content["example"]] if "example" in content else [])]:
                    yield f"{method} {path} {status} {media_type}", example, content["schema"]


def test_each_example_is_what_it_is_an_example_of() -> None:
    examples = list(described())
    for where, example, schema in examples:
        validator = OAS31Validator({**schema, "components": closed(DOCUMENT)["components"]})
        assert not list(validator.iter_errors(example)), where
    assert len(examples) > 100


def textual(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [content for name, content in response.get("content", {}).items() if not name.endswith("parquet")]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_each_call_is_described_in_full(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method.lower()]
    assert operation["summary"]
    assert not {"422", "default"} & operation["responses"].keys()
    for status, response in operation["responses"].items():
        assert response["description"]
        assert "X-Request-Id" in response["headers"]
        assert not [content for content in textual(response) if not {"example", "examples"} & content.keys()], status
        assert ("content" in response) == (status not in ("204", "304"))
        counted = operation.get("security") not in (None, [{"APIKey": []}]) and status != "401"
        assert ("X-RateLimit-Limit" in response["headers"]) == counted
    assert "500" in operation["responses"]
    if operation.get("security"):
        assert {"401", "403", "429", "503"} <= operation["responses"].keys()
        assert {name for choice in operation["security"] for name in choice} <= DOCUMENT["components"][
            "securitySchemes"
        ].keys()


def test_each_call_has_a_name_of_its_own() -> None:
    names = [DOCUMENT["paths"][path][method.lower()]["operationId"] for method, path in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+[A-Za-z0-9]*", name) for name in names), names
