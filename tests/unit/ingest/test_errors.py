"""One tree of exceptions, which tells deliberate ones from bugs."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TREES = {
    path: ast.parse(path.read_text())
    for layer in ("ingest", "rollups", "api", "deploy")
    for path in sorted((ROOT / layer).rglob("*.py"))
}
ROOT_OF_THE_TREE = ROOT / "ingest" / "errors.py"
NUMBA_HAS_NO_OTHER = ROOT / "rollups" / "compiled" / "jit.py"


def names(node: ast.expr | None) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} if node else set()


def is_builtin_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def with_builtin_bases(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(is_builtin_exception(name) for name in names_of_bases(node)):
            yield node.name


def names_of_bases(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}


@pytest.mark.parametrize("path", TREES, ids=str)
def test_exceptions_derive_from_one_class(path: Path) -> None:
    expected = ["ClickmillError"] if path == ROOT_OF_THE_TREE else []
    assert list(with_builtin_bases(TREES[path])) == expected


@pytest.mark.parametrize("path", TREES, ids=str)
def test_a_runtime_error_is_neither_raised_nor_caught(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Raise):
            assert not names(node.exc) & {"RuntimeError", "Exception"}, node.lineno
        if isinstance(node, ast.ExceptHandler) and path != NUMBA_HAS_NO_OTHER:
            assert "RuntimeError" not in names(node.type), node.lineno
