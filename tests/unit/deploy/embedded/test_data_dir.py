"""The data directory: what is written there survives a failed write, and says who holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.embedded.data_dir import Addresses, Home, NotRunning
from deploy.embedded.durable import write_durably

FULL_DISK = """
import resource, sys
from pathlib import Path
from deploy.embedded.data_dir import Addresses, Home
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a write of more than nothing fails, as on a full disk
try:
    {call}
except OSError as error:
    sys.exit(f"refused: {{error}}")
"""


def on_a_full_disk(path: Path, call: str) -> None:
    program = FULL_DISK.format(call=call)
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert "refused" in done.stderr, done.stderr


def test_secrets_survive_a_write_that_fails(tmp_path: Path) -> None:
    home = Home(tmp_path)
    secret = home.secret("visitor_secret")
    on_a_full_disk(tmp_path, 'Home(Path(sys.argv[1])).keep({"demo_account_key": "cm_new"})')
    assert home.kept("visitor_secret") == secret
    assert os.listdir(tmp_path) == ["secrets.json"], "nothing is left beside it"


def test_addresses_survive_a_write_that_fails(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.take()
    home.publish(Addresses(os.getpid(), "127.0.0.1:1", "http://127.0.0.1:2"))
    on_a_full_disk(tmp_path, 'Home(Path(sys.argv[1])).publish(Addresses(1, "a", "b"))')
    assert json.loads((tmp_path / "up.json").read_text())["kafka"] == "127.0.0.1:1"


def test_the_disk_has_the_new_file_before_it_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(f"fsync {'directory' if os.path.isdir(f'/proc/self/fd/{descriptor}') else 'file'}")
        fsync(descriptor)

    def replaced(source: str, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_durably(tmp_path / "file", [b"a", b"b"])
    assert steps == ["fsync file", "rename", "fsync directory"]
    assert (tmp_path / "file").read_bytes() == b"ab"


def test_secrets_are_for_their_owner_and_grow(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.secret("admin_key")
    home.keep({"demo_account_key": "cm_1"})
    assert (home.secret("admin_key"), home.kept("demo_account_key"), home.kept("no")) == (first, "cm_1", None)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("found", ["", '{"admin_key": "a', "[]", '{"admin_key": 1}'])
def test_damaged_secrets_are_not_replaced_by_new_ones(tmp_path: Path, found: str) -> None:
    (tmp_path / "secrets.json").write_text(found)
    with pytest.raises(RuntimeError, match=r"secrets\.json is damaged"):
        Home(tmp_path).secret("admin_key")
    with pytest.raises(RuntimeError, match=r"secrets\.json is damaged"):
        Home(tmp_path).keep({"a": "b"})
    assert (tmp_path / "secrets.json").read_text() == found


HOLD = (
    "import sys, time; from pathlib import Path; from deploy.embedded.data_dir import *; h = Home(Path(sys.argv[1])); "
    "h.take(); "
)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"/proc/clickmill/data cannot be written .* --data-dir"):
        Home(Path("/proc/clickmill/data")).take()


def test_addresses_count_while_their_up_lives_whoever_has_its_process_id(tmp_path: Path) -> None:
    home = Home(tmp_path)
    program = HOLD + "h.publish(Addresses(1, 'k', 'h')); print('there', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert home.addresses() == Addresses(1, "k", "h")
        with pytest.raises(RuntimeError, match="already"):
            home.take()
    finally:
        child.kill()
        child.wait()
    with pytest.raises(NotRunning, match=rf"running in {tmp_path}: .*--data-dir .*CLICKMILL_KAFKA_URL"):
        home.addresses()  # process 1 runs, and is not ours
    home.take()
    assert not (tmp_path / "up.json").exists(), "what a killed one left is not taken for the new one's"


def test_commands_that_look_do_not_keep_an_up_from_starting(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text(json.dumps({"pid": 1, "kafka": "k", "http": "h"}))
    (tmp_path / "lock").touch()
    program = "\n".join(
        [
            "import sys; from pathlib import Path; from deploy.embedded.data_dir import *; print('there', flush=True)",
            "while True:",
            "    try: Home(Path(sys.argv[1])).addresses()",
            "    except NotRunning: pass",
        ]
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1)
        Home(tmp_path).take()
    finally:
        child.kill()
        child.wait()
