"""The helper's calls against the OpenAPI document: none is missing, and no parameter is unknown."""

from __future__ import annotations

import pytest

from api.app import create_app
from api.integration.calls import CALLS, Call
from api.integration.needs import understand
from api.settings import Settings
from tests.support import some
from tests.support.seed import Away
from tests.unit.api.integration.test_sentences import CASES, TODAY

PATHS = create_app(Away(), Settings()).openapi()["paths"]
ITSELF = "/api/v1/integration"


def names(path: str, *, required: bool = False) -> set[str]:
    parameters = PATHS[path]["get"].get("parameters", [])
    return {each["name"] for each in parameters if each["in"] == "query" and (each["required"] or not required)}


def test_every_call_is_known() -> None:
    documented = {path for path, methods in PATHS.items() if path.startswith("/api/") and "get" in methods}
    assert documented - {ITSELF} == {call.path for call in CALLS.values()}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_is_the_documented_one(call: Call) -> None:
    assert PATHS[call.path]["get"]["operationId"] == call.name
    assert {*call.days, *call.scope, *dict(call.most)} <= names(call.path)
    assert names(call.path, required=True) - {"by", "linkId", "domain"} <= set(call.days)
    assert set(call.near) <= CALLS.keys()


def test_what_is_filled_in_is_a_parameter_of_the_call() -> None:
    for case, _ in some(CASES):
        need = understand(case.sentence, TODAY)
        if need.call:
            assert need.parameters.keys() <= names(need.call.path), case.sentence
            assert names(need.call.path, required=True) <= need.parameters.keys(), case.sentence
