"""The data directory: files survive a failed write, and the lock tells its holder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.embedded.data_dir import Addresses, DataDir, NotRunning
from deploy.embedded.durable import write_durably
from ingest.errors import OperatorError

FULL_DISK = """
import resource, sys
from pathlib import Path
from deploy.embedded.data_dir import Addresses, DataDir
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # every write fails, as on a full disk
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
    data_dir = DataDir(tmp_path)
    secret = data_dir.get_or_create_secret("visitor_secret")
    on_a_full_disk(tmp_path, 'DataDir(Path(sys.argv[1])).save_secrets({"demo_account_key": "cm_new"})')
    assert data_dir.saved_secret("visitor_secret") == secret
    assert os.listdir(tmp_path) == ["secrets.json"], "nothing is left beside it"


def test_addresses_survive_a_write_that_fails(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.lock()
    data_dir.publish_addresses(Addresses(os.getpid(), "127.0.0.1:1", "http://127.0.0.1:2"))
    on_a_full_disk(tmp_path, 'DataDir(Path(sys.argv[1])).publish_addresses(Addresses(1, "a", "b"))')
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
    data_dir = DataDir(tmp_path)
    first = data_dir.get_or_create_secret("admin_key")
    data_dir.save_secrets({"demo_account_key": "cm_1"})
    assert (
        data_dir.get_or_create_secret("admin_key"),
        data_dir.saved_secret("demo_account_key"),
        data_dir.saved_secret("no"),
    ) == (first, "cm_1", None)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("found", ["", '{"admin_key": "a', "[]", '{"admin_key": 1}'])
def test_damaged_secrets_are_not_replaced_by_new_ones(tmp_path: Path, found: str) -> None:
    (tmp_path / "secrets.json").write_text(found)
    with pytest.raises(OperatorError, match=r"secrets\.json is damaged"):
        DataDir(tmp_path).get_or_create_secret("admin_key")
    with pytest.raises(OperatorError, match=r"secrets\.json is damaged"):
        DataDir(tmp_path).save_secrets({"a": "b"})
    assert (tmp_path / "secrets.json").read_text() == found


HOLD = (
    "import sys, time; from pathlib import Path; from deploy.embedded.data_dir import *; "
    "h = DataDir(Path(sys.argv[1])); "
    "h.lock(); "
)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"/proc/clickmill/data cannot be written .* --data-dir"):
        DataDir(Path("/proc/clickmill/data")).lock()


def test_addresses_count_while_their_up_lives_whoever_has_its_process_id(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    program = HOLD + "h.publish_addresses(Addresses(1, 'k', 'h')); print('there', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert data_dir.addresses() == Addresses(1, "k", "h")
        with pytest.raises(OperatorError, match="already"):
            data_dir.lock()
    finally:
        child.kill()
        child.wait()
    with pytest.raises(NotRunning, match=rf"running in {tmp_path}: .*--data-dir .*CLICKMILL_KAFKA_URL"):
        data_dir.addresses()  # process 1 runs, and is not ours
    data_dir.lock()
    assert not (tmp_path / "up.json").exists(), "what a killed one left is not taken for the new one's"


def test_commands_that_look_do_not_keep_an_up_from_starting(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text(json.dumps({"pid": 1, "kafka": "k", "http": "h"}))
    (tmp_path / "lock").touch()
    program = "\n".join(
        [
            "import sys; from pathlib import Path; from deploy.embedded.data_dir import *; print('there', flush=True)",
            "while True:",
            "    try: DataDir(Path(sys.argv[1])).addresses()",
            "    except NotRunning: pass",
        ]
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1)
        DataDir(tmp_path).lock()
    finally:
        child.kill()
        child.wait()
