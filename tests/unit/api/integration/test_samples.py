"""The samples of code, run by their languages: hostile texts arrive as they are, and nothing else happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from api.integration.endpoint import integration
from api.integration.samples import KEY, Language, sample
from tests.support.kafka_broker import require
from tests.unit.api.integration.test_sentences import TODAY

QUERY: dict[str, str | int] = {
    "linkId": 'it\'s "a" \\ $(touch broken) `touch broken` </script> ${HOME} %s %00 {x} <?php ?>',
    "unicode": "한글 \U0001f600 \ufeff \u2028 \x7f",
    "newlines": "a\nb\r\n\tc\\n' + touch + '",
    "@at": "@/etc/passwd",
    "number": 7,
}
HEADERS = {"Authorization": f"APIKey {KEY}", "User-Agent": "my-integration/1.0", "Accept": "text/csv"}
PROGRAMS: dict[Language, tuple[str, str, list[str]]] = {  # program, name of the file, words that run it
    "curl": ("curl", "sample.sh", ["bash", "sample.sh"]),
    "python": (sys.executable, "sample.py", [sys.executable, "-I", "sample.py"]),
    "javascript": ("node", "sample.js", ["node", "sample.js"]),
    "go": ("go", "sample.go", ["go", "run", "sample.go"]),
    "php": ("php", "sample.php", ["php", "sample.php"]),
}
BODY = bytes(range(256)) * 50  # Parquet is no text


class Echo(HTTPServer):
    """Remembers the requests; answers with bytes, or with an error under /refuse."""

    asked: list[tuple[str, dict[str, str]]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    server: Echo

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers.items())))
        self.send_response(401 if self.path.startswith("/refuse") else 200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with Echo() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(code: str, language: Language, directory: Path) -> subprocess.CompletedProcess[bytes]:
    program, name, words = PROGRAMS[language]
    missing = None if shutil.which(program) else f"{program} is not installed"
    if missing and program == "go":
        pytest.skip(missing)  # .ci/run does not install it
    require(missing)
    (directory / name).write_text(code, encoding="utf-8", newline="")
    environment = {**os.environ, "CLICKMILL_KEY": "cm_the-key", "GOTOOLCHAIN": "local", "no_proxy": "*"}
    return subprocess.run(words, cwd=directory, env=environment, capture_output=True, timeout=240)


@pytest.mark.parametrize("language", PROGRAMS)
def test_hostile_texts_arrive_as_they_are(language: Language, echo: Echo, tmp_path: Path) -> None:
    echo.asked.clear()
    url = f"http://127.0.0.1:{echo.server_port}/it's/$(touch%20broken)"
    done = run(sample(language, url, QUERY, HEADERS), language, tmp_path)
    assert (done.returncode, done.stdout) == (0, BODY), done.stderr.decode()
    [(path, headers)] = echo.asked
    assert dict(parse_qsl(urlsplit(path).query)) == {name: str(value) for name, value in QUERY.items()}
    sent = {name.lower(): value for name, value in headers.items()}
    assert (sent["authorization"], sent["user-agent"]) == ("APIKey cm_the-key", "my-integration/1.0")
    assert sent["accept"] == "text/csv"
    assert [file.name for file in tmp_path.iterdir()] == [PROGRAMS[language][1]], "a command in a text was run"


@pytest.mark.parametrize("language", ["curl", "python", "javascript", "php"])
def test_a_refused_request_fails(language: Language, echo: Echo, tmp_path: Path) -> None:
    done = run(sample(language, f"http://127.0.0.1:{echo.server_port}/refuse", {}, {}), language, tmp_path)
    assert done.returncode != 0


@pytest.mark.parametrize("language", PROGRAMS)
def test_text_of_a_sentence_ends_no_script_of_a_page(language: Language) -> None:
    need = "hourly clicks of vvd.bz/x\"'\\$(id)`id`</script><script>alert(1)</script> yesterday"
    answer = integration(need, language, TODAY, "http://x/")
    assert str(answer["understood"]["parameters"]["linkId"]).startswith("x\"'\\$(id)`id`</script>")
    assert answer["code"] is not None
    assert language != "javascript" or "</script>" not in answer["code"]
