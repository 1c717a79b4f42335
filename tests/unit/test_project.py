"""Documented settings, the imports of each process, commands and their errors."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.settings import Settings

ROOT = Path(__file__).parents[2]


def test_commands_that_publish_addresses_want_the_secret_that_hides_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    addresses = {"CLICKMILL_KAFKA_URL": "127.0.0.1:1", "CLICKMILL_CLICKHOUSE_URL": f"chdb://{tmp_path}/engine"}
    for arguments in (["collector"], ["import", str(log), "--format", "events"], ["dlq", "replay"]):
        result = CliRunner().invoke(main, arguments, env=addresses | {"CLICKMILL_VISITOR_SECRET": ""})
        assert result.exit_code == 2
        assert "CLICKMILL_VISITOR_SECRET" in result.output


def test_every_setting_is_documented() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `CLICKMILL_{name.upper()}` |" in documented, f"docs/settings.md does not name {name}"
        assert field.description
        assert field.description.replace("|", "\\|") in documented, f"docs/settings.md describes {name} differently"


@pytest.mark.parametrize(
    ("process", "others"),
    [
        ("deploy.processes.api", ["aiokafka", "faust", "numba", "ahocorasick_rs", "dateparser"]),
        ("deploy.processes.collector", ["faust", "numba", "mcp", "ahocorasick_rs"]),
        ("deploy.processes.worker", ["mcp"]),
        ("deploy.cli", ["faust", "numba", "mcp", "ahocorasick_rs"]),
    ],
)
def test_a_process_does_not_load_what_only_others_need(process: str, others: list[str]) -> None:
    program = f"import {process}, sys; print([name for name in {others} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_whose_private_names_are_used_is_bounded_above() -> None:
    used = (ROOT / "deploy" / "processes" / "timeout_protocol.py").read_text()
    assert "from uvicorn.protocols.http.httptools_impl import" in used, "without it the bound is not needed"
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [bound] = [line for line in dependencies if line.startswith("uvicorn")]
    assert "<" in bound


def test_commands_fail_with_status_2_when_used_wrongly() -> None:
    for arguments in (
        ["nonsense"],
        ["up", "--port", "x"],
        ["import", "/no/such/file", "--format", "bitly"],
        ["worker"],
    ):
        assert CliRunner().invoke(main, arguments, env={"CLICKMILL_KAFKA_URL": "embedded"}).exit_code == 2


@pytest.mark.parametrize("command", ["up", "collector", "worker", "api", "migrate", "import", "simulate"])
def test_each_command_has_an_example(command: str) -> None:
    assert "Example:" in CliRunner().invoke(main, [command, "--help"]).output
