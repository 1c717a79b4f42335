"""The rules of the layout: imports between layers and rooms, the home of each library, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ["ingest", "rollups", "api", "deploy"]

# The other rooms of its layer that a room may import. Files outside the rooms may import any, without circles.
ROOMS: dict[str, set[str]] = {
    "ingest/event": set(),
    "ingest/kafka": {"event"},
    "ingest/importers": {"event"},
    "ingest/simulator": {"event"},
    "rollups/bots": set(),
    "rollups/compiled": set(),
    "rollups/kafka_log": set(),
    "rollups/migrations": set(),
    "rollups/transform": {"bots", "compiled", "kafka_log"},
    "rollups/delivery": {"kafka_log"},
    "rollups/consumer": {"delivery", "kafka_log", "transform"},
    "api/http": set(),
    "api/query": set(),
    "api/access": {"http", "query"},
    "api/catalog": {"access", "http", "query"},
    "api/admin": {"access", "catalog", "http", "query"},
    "api/clicks": {"access", "catalog", "http", "query"},
    "api/statistics": {"access", "catalog", "http", "query"},
    "api/insights": {"access", "catalog", "http", "query"},
    "api/live": {"access", "catalog", "http", "query"},
    "api/integration": {"access", "clicks", "http", "insights", "live"},
    "api/mcp": {"access", "http"},
    "api/web": {"http"},
    "deploy/embedded": set(),
    "deploy/processes": {"embedded"},
    "deploy/commands": {"embedded", "processes"},
}
HOMES = {
    "clickhouse_connect": ["rollups/clickhouse.py"],
    "faust": ["rollups/consumer/faust_app.py", "rollups/consumer/faust_transport.py"],
    "fastapi": [
        "api/",
        "deploy/processes/collector.py",
        "deploy/processes/worker.py",
        "deploy/processes/http_server.py",
        "deploy/processes/metrics_listener.py",
    ],
    "aiokafka": ["ingest/", "rollups/consumer/faust_app.py", "rollups/consumer/faust_transport.py"],
    "dateparser": ["api/integration/single_dates.py"],
    "mcp": ["api/mcp/"],
    "ahocorasick_rs": ["rollups/bots/automaton.py"],
    "numba": ["rollups/compiled/jit.py", "rollups/compiled/siphash.py", "rollups/compiled/hash_set.py"],
}
FILES = sorted(path.relative_to(ROOT).as_posix() for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def layer_of(file: str) -> str:
    return file.partition("/")[0]


def room_of(file: str) -> str:
    """The folder below the layer; the file itself if it is directly in the layer."""
    parts = file.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else file


@cache
def imports(file: str) -> frozenset[str]:
    """Dotted names of all imports in the file: `from a.b import c` gives a.b and a.b.c."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


@cache
def files_imported(file: str) -> frozenset[str]:
    """The files of the layers that a file imports; a name from a package counts as its `__init__`."""
    modules = {name.replace(".", "/") for name in imports(file)}
    return frozenset({f"{name}{end}" for name in modules for end in (".py", "/__init__.py")} & set(FILES) - {file})


def edges() -> Iterator[tuple[str, str]]:
    return ((file, other) for file in FILES for other in files_imported(file))


def test_imports_are_found() -> None:
    assert "rollups/pipeline.py" in files_imported("rollups/worker.py")
    assert "ingest/event/__init__.py" in files_imported("ingest/collector.py")


def test_layers_import_only_those_before_them() -> None:
    assert not [
        f"{file} imports {other}"
        for file, other in edges()
        if LAYERS.index(layer_of(other)) > LAYERS.index(layer_of(file))
    ]


def test_every_room_has_its_line_in_the_table() -> None:
    rooms = {room_of(file) for file in FILES if file.count("/") > 1}
    assert rooms == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_that_it_may(room: str) -> None:
    layer = layer_of(room)
    allowed = {room, *(f"{layer}/{other}" for other in ROOMS[room])}
    assert not [
        f"{file} imports {other}"
        for file, other in edges()
        if room_of(file) == room and room_of(other) in ROOMS and layer_of(other) == layer
        if room_of(other) not in allowed
    ]


def test_rooms_make_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for file, other in edges():
        if room_of(file) != room_of(other):
            graph.setdefault(room_of(file), set()).add(room_of(other))
    assert list(TopologicalSorter(graph).static_order())


def test_files_make_no_circle() -> None:
    assert list(TopologicalSorter({file: files_imported(file) for file in FILES}).static_order())


def test_the_recount_loads_nothing_of_the_worker() -> None:
    known, pending = set(), ["rollups/recount.py"]
    while pending:
        known.add(file := pending.pop())
        pending += files_imported(file) - known
    assert not {room_of(file) for file in known} & {"rollups/transform", "rollups/delivery", "rollups/consumer"}


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = [file for file in FILES if library in {name.partition(".")[0] for name in imports(file)}]
    assert users
    assert not [file for file in users if not file.startswith(tuple(HOMES[library]))]


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_at_most_300_lines(file: str) -> None:
    assert len((ROOT / file).read_text().splitlines()) <= 300


@pytest.mark.parametrize("room", sorted({file.rpartition("/")[0] for file in FILES}))
def test_a_room_has_at_most_16_files(room: str) -> None:
    files = [path.name for path in (ROOT / room).glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= 16, f"{len(files)} files: split the room"


def test_a_function_has_at_most_50_lines() -> None:
    assert not [
        f"{file}:{node.lineno} {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= 50
    ]
