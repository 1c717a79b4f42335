"""The playground's programs, run: each sends the request that it was made from, whatever its values hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.kafka_broker import require
from tests.support.npm import NODE, node

KEY = "cm_key-of-the-samples"
NASTY = "it's \"$HOME\" `id` ${x} $(id) %41 \\ \\' \\n */ <?php // 시간 😀"
REQUESTS: list[dict[str, Any]] = [
    {"method": "GET", "path": "/api?a=it's%20%22$HOME%22&b=%60id%60", "headers": [], "body": None, "scheme": None},
    {
        "method": "GET",
        "path": "/api/statistics?ymd=2026-01-31",
        "headers": [["If-None-Match", '"it\'s" $HOME `id` \\ ${x}'], ["Accept", "text/csv"]],
        "body": None,
        "scheme": "APIKey",
    },
    {
        "method": "PUT",
        "path": "/admin",
        "headers": [["Content-Type", "application/json"]],
        "body": json.dumps({"name": NASTY, "id": 2**63 - 1}, ensure_ascii=False),
        "scheme": "X-Api-Key",
    },
]
RUN = {
    "curl": ["bash", "-c"],
    "Python": [sys.executable, "-c"],
    "JavaScript": [str(NODE), "--input-type=module", "--eval"],
    "PHP": ["php", "-d", "display_errors=stderr", "-r"],
}


@dataclass
class Echo:
    """A server that keeps what it was sent."""

    url: str
    seen: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    class Handler(BaseHTTPRequestHandler):
        def keep(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): text for name, text in self.headers.items()}
            kept.seen.append((self.command, self.path, headers, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"answer": 42}')

        do_GET = do_PUT = keep

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = Echo(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever).start()
    yield kept
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def programs(echo: Echo) -> list[dict[str, str]]:
    """By language, for each request."""
    done = node(Path(__file__).parent, Path(__file__).with_name("sample_code.mjs"), echo.url, json.dumps(REQUESTS))
    assert not done.returncode, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("number", range(len(REQUESTS)))
@pytest.mark.parametrize("language", RUN)
def test_a_program_sends_its_request(
    echo: Echo, programs: list[dict[str, str]], language: str, number: int, tmp_path: Path
) -> None:
    program, *options = RUN[language]
    require(None if shutil.which(program) else f"{program} is not installed; .ci/run installs it")
    request, code = REQUESTS[number], programs[number][language].removeprefix("<?php\n")
    environment = {**os.environ, "CLICKMILL_KEY": KEY}
    done = subprocess.run(
        [program, *options, code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout
    method, path, headers, body = echo.seen.pop()
    assert (method, unquote(path), body) == (request["method"], unquote(request["path"]), request["body"] or "")
    for name, text in request["headers"]:
        assert headers[name.lower()] == text
    assert headers.get("authorization") == (f"APIKey {KEY}" if request["scheme"] == "APIKey" else None)
    assert headers.get("x-api-key") == (KEY if request["scheme"] == "X-Api-Key" else None)
    assert headers["user-agent"]


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_a_program_in_go_is_well_formed(programs: list[dict[str, str]], number: int) -> None:
    """To run it would compile Go's library for half a minute."""
    if not (gofmt := shutil.which("gofmt")):
        pytest.skip("Go is not installed")
    done = subprocess.run([gofmt, "-e", "-d"], input=programs[number]["Go"] + "\n", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_no_program_holds_a_key(programs: list[dict[str, str]]) -> None:
    for request, by_language in zip(REQUESTS, programs, strict=True):
        for code in by_language.values():
            assert ("CLICKMILL_KEY" in code) == (request["scheme"] is not None)
