"""Rules of the tests: no assertion passes over nothing, and no test reaches into what is private."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CODE = [path for layer in ("ingest", "rollups", "api", "deploy") for path in sorted((ROOT / layer).rglob("*.py"))]
NAMES_OF_FAUST = {"_create_worker_consumer", "_thread"}  # Faust has no public way to its consumer
# Calls whose result is as long as their argument.
AS_LONG_AS_GIVEN = {*vars(builtins), "count", "items", "keys", "product", "repeat", "values", "walk"}


def iterated(tree: ast.AST) -> Iterator[ast.expr]:
    """The iterables of loops with assertions, and of `all(...)` in assertions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor) and any(isinstance(each, ast.Assert) for each in ast.walk(node)):
            yield node.iter
        elif isinstance(node, ast.Assert):
            for call in ast.walk(node.test):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "all":
                    yield from (part.iter for part in ast.walk(call.args[0]) if isinstance(part, ast.comprehension))


def may_be_empty(iterable: ast.expr) -> bool:
    """Whether it is the result of a call. The length of a variable can be asserted separately."""
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


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def is_self(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in ("self", "cls")


def private_names(path: Path) -> set[str]:
    """Private functions, classes, attributes and variables that a file defines."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return {name for name in found if is_private(name)}


def names_reached_into(path: Path) -> Iterator[tuple[int, str]]:
    """Private names of other objects and modules: read, imported, or replaced by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and not is_self(node.value):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from ((node.lineno, text.rpartition(".")[2]) for text in texts)


def test_no_test_reaches_into_what_is_private() -> None:
    ours = set().union(*map(private_names, [*CODE, *TESTS])) - NAMES_OF_FAUST
    assert len(ours) > 100
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in TESTS
        for line, name in names_reached_into(path)
        if name in ours
    ]
    assert not found, "use a public name, or add one"
