"""Kill -9, a full disk and a broken one at every rename, mkdir and write of a batch, one call at a time."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Record
from tests.faults.processes import Program, Strace, needs_strace

FIRST, CLICKS = 30, 150
SEED = 11
TABLES = {"seen": "seen", "landing": "the rollups"}
CALLS = {"rename": "/^rename", "mkdir": "/^mkdir", "write": "/^p?write"}


class Batch:
    """One batch over a database with a first part already, again and again, with a fault at its k-th call."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.engine, self.saved = directory, directory / "engine", directory / "saved"
        assert self._program(FIRST).ended() == 0
        shutil.copytree(self.engine, self.saved, symlinks=True)  # chDB links to its own absolute path

    def _program(self, clicks: int, *options: str, module: str = "program") -> Program:
        return Program(f"chdb://{self.engine}", SEED, clicks, *options, log=self.directory / "log", module=module)

    def strike(self, table: str, call: str, fault: str) -> tuple[int, list[str]]:
        """Into an insert: (exit status, the calls that failed as strace tells, one in each thread that got there)."""
        return self._strike(lambda: self._program(CLICKS, "--most", "1000", "--pause", table), call, fault)

    def strike_merge(self, call: str, fault: str) -> tuple[int, list[str]]:
        return self._strike(lambda: self._program(FIRST, module="merge"), call, fault)

    def _strike(self, start: Callable[[], Program], call: str, fault: str) -> tuple[int, list[str]]:
        shutil.rmtree(self.engine)
        shutil.copytree(self.saved, self.engine, symlinks=True)
        program = start()
        assert program.said("go?"), program.log.read_text()
        log = self.directory / "strace"
        strace = Strace(program.child.pid, CALLS[call], fault, log)
        program.go()
        try:
            program.child.communicate(timeout=8)
        except subprocess.TimeoutExpired:
            program.kill()
        strace.stop()
        code = program.child.returncode
        return code, [line for line in log.read_text().splitlines() if "(INJECTED)" in line]

    def recover(self) -> None:
        """Another worker goes on; it ends well only if every number is right."""
        assert self._program(CLICKS).ended() == 0


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    needs_strace()
    return Batch(tmp_path_factory.mktemp("syscalls"))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("table", TABLES)
def test_kill_at_every_call(batch: Batch, table: str, call: str, record: Record) -> None:
    k = 1
    while batch.strike(table, call, f"error=EIO:signal=KILL:when={k}")[0] != 0:
        batch.recover()
        k += 1
    record(f"kill -9 at each {call} of an insert into {TABLES[table]}", k - 1)
    assert k > 1


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("table", TABLES)
def test_the_disk_fails_at_every_call(batch: Batch, table: str, call: str, error: str, record: Record) -> None:
    k = disk = 1
    while True:
        code, failed = batch.strike(table, call, f"error={error}:when={k}")
        if not failed:
            assert code == 0
            break  # the insert has fewer such calls
        on_disk = [line for line in failed if str(batch.engine) in line]
        # Every new thread of the engine fails once, so it may still be trying; but it must not have given up.
        assert code in (0, -signal.SIGKILL) or len(on_disk) < len(failed), failed
        if code != 0:  # or a pipe, an eventfd or the log failed too: no disk does that, and nobody lives without them
            batch.recover()
        disk += len(on_disk)
        k += 1
    record(f"{error} at each {call} of an insert into {TABLES[table]}, no kill", disk - 1)
    assert disk > 1


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_the_disk_fails_at_every_write_of_a_merge(batch: Batch, error: str, record: Record) -> None:
    """The engine puts the merged part in place all the same: the audit tells, and the next start takes it back."""
    k, damaged = 1, 0
    while True:
        code, failed = batch.strike_merge("write", f"error={error}:when={k}")
        if not any(str(batch.engine / "store") in line for line in failed) and k > 2:
            break  # the first two of a thread may be the pool's own
        assert code != 3, "the audit found a wrong number sound"
        damaged += code == 4
        batch.recover()
        k += 1
    record(f"{error} at each write of a merge, no kill", k - 1)
    assert damaged
