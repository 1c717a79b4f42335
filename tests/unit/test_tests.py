"""Rules of the tests themselves: no assertion passes because there was nothing to assert."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Calls that are as long as what they are given, or as the number in the test says.
AS_LONG_AS_GIVEN = {*vars(builtins), "count", "items", "keys", "product", "repeat", "values"}


def iterated(tree: ast.AST) -> Iterator[ast.expr]:
    """What is iterated over for assertions: by a loop that holds some, and by `all(...)` in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor) and any(isinstance(each, ast.Assert) for each in ast.walk(node)):
            yield node.iter
        elif isinstance(node, ast.Assert):
            for call in ast.walk(node.test):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "all":
                    yield from (part.iter for part in ast.walk(call.args[0]) if isinstance(part, ast.comprehension))


def may_be_empty(iterable: ast.expr) -> bool:
    """Whether it is what a call returned. Of a variable the test has had the chance to say how long it is."""
    if isinstance(iterable, ast.Tuple | ast.List | ast.Set | ast.Dict):
        return False
    calls = [node.func for node in ast.walk(iterable) if isinstance(node, ast.Call)]
    names = [call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls]
    return "some" not in names and not AS_LONG_AS_GIVEN.issuperset(names)


def test_no_loop_of_assertions_passes_over_nothing() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{iterable.lineno}: {ast.unparse(iterable)}"
        for path in TESTS
        for iterable in iterated(ast.parse(path.read_text()))
        if may_be_empty(iterable)
    ]
    assert not found, "wrap in tests.support.some(...)"
