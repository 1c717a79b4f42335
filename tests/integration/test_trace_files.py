"""The trace finds the main files of each path and leaves out those of other paths."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.stack import ROOT

ENTERED = {
    "event": {"ingest/collector.py", "ingest/producer.py", "rollups/pipeline.py", "rollups/transform/dedupe.py"},
    "hours": {"api/statistics/clicks_by_hour.py", "api/query/response_cache.py", "rollups/clickhouse.py"},
    "remembered": {"api/statistics/clicks_by_hour.py", "api/query/response_cache.py"},
    "listing": {"api/clicks/endpoint.py", "api/clicks/queries.py", "api/access/authentication.py"},
}
NOT_ENTERED = {
    "event": {"api/query/response_cache.py", "deploy/cli.py"},
    "hours": {"rollups/pipeline.py", "api/clicks/queries.py"},
    "remembered": {"rollups/clickhouse.py", "api/statistics/queries.py"},
    "listing": {"api/statistics/queries.py", "api/admin/endpoints.py"},
}
MAX_FILES = {"event": 50, "hours": 18, "remembered": 13, "listing": 17}


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    """The files of each path. On a busy machine periodic work may fall into every round, so it is traced again."""
    for _ in range(3):
        paths = traced()
        if all(len(files) <= MAX_FILES[path] for path, files in paths.items()):
            break
    return paths


def traced() -> dict[str, set[str]]:
    command = [sys.executable, "-m", "tests.support.trace_files"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    paths = re.findall(r"^(\w+): \d+ files .*\n((?:    .*\n)*)", done.stdout, re.MULTILINE)
    return {path: set(files.split()) for path, files in paths}


def test_each_path_has_its_files(found: dict[str, set[str]]) -> None:
    assert found.keys() == ENTERED.keys()
    for path, files in found.items():
        assert files >= ENTERED[path], path
        assert not files & NOT_ENTERED[path], path
        assert len(files) <= MAX_FILES[path], path
