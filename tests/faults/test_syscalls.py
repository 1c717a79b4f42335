"""Kill -9, a full disk and a broken one at every rename, mkdir, write and fsync of a batch, one call at a time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import pytest

from tests.faults.conftest import Record
from tests.faults.processes import Program, Strace, needs_strace

FIRST, CLICKS = 30, 150
SEED = 11
TABLES = {"seen": "seen", "landing": "the rollups"}
CALLS = {"rename": "/^rename", "mkdir": "/^mkdir", "write": "/^p?write", "sync": "/^f(data)?sync"}


class Batch:
    """One batch over a database with a first part, repeated with a fault at its k-th call."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.engine, self.saved = directory, directory / "engine", directory / "saved"
        assert self._program(FIRST).ended() == 0
        shutil.copytree(self.engine, self.saved, symlinks=True)  # chDB links to its own absolute path

    def _program(self, clicks: int, *options: str, module: str = "program") -> Program:
        return Program(f"chdb://{self.engine}", SEED, clicks, *options, log=self.directory / "log", module=module)

    @cache  # noqa: B019 - as long as the directory
    def files(self, table: str) -> list[str]:
        """The directory and files that the first insert into the table writes, before the rename."""
        _, calls = self._strike(self._insert(table), "/^open", "", [])
        opened = [match for call in calls if (match := re.search(r'"([^"]*/(tmp_insert[^/"]*))/([^/"]+)"', call))]
        part = opened[0][1]
        return [part, f"{part}/", *{f"{part}/{match[3]}" for match in opened if match[1] == part}]

    def strike(self, table: str, call: str, fault: str, *options: str) -> tuple[int, list[str]]:
        """Injects a fault into the first insert. Returns (exit status, failed calls as traced)."""
        code, calls = self._strike(self._insert(table, *options), CALLS[call], fault, self.files(table))
        return code, [line for line in calls if "(INJECTED)" in line]

    def strike_merge(self, fault: str) -> tuple[int, list[str]]:
        start = partial(self._program, FIRST, module="merge")
        code, calls = self._strike(start, CALLS["write"], fault, [])
        return code, [line for line in calls if "(INJECTED)" in line]

    def _insert(self, table: str, *options: str) -> Callable[[], Program]:
        return partial(self._program, CLICKS, "--most", "20", "--pause", table, *options)

    def _strike(
        self, start: Callable[[], Program], call: str, fault: str, paths: Sequence[str]
    ) -> tuple[int, list[str]]:
        shutil.rmtree(self.engine)
        shutil.copytree(self.saved, self.engine, symlinks=True)
        program = start()
        assert program.said("go?"), program.log.read_text()
        log = self.directory / "strace"
        strace = Strace(program.child.pid, call, log, fault, paths)
        program.go()
        program.child.communicate(timeout=60)
        strace.stop()
        return program.child.returncode, log.read_text().splitlines()

    def recover(self) -> None:
        """Another worker goes on, and succeeds only if every number is right."""
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
    """The worker goes on, and a later start finds all counted clicks, whatever the engine reported."""
    k = 1
    while True:
        code, failed = batch.strike(table, call, f"error={error}:when={k}")
        assert code == 0, failed
        if not failed:
            break  # the insert has fewer such calls
        batch.recover()
        k += 1
    record(f"{error} at each {call} of an insert into {TABLES[table]}, no kill", k - 1)
    assert k > 1


def test_without_reading_back_a_refused_write_is_lost(batch: Batch, record: Record) -> None:
    code, failed = batch.strike("landing", "write", "error=EIO:when=7", "--blind")
    assert (code, len(failed)) == (0, 1)
    with pytest.raises(AssertionError, match="records are accounted for, the watermark is"):
        batch.recover()
    record("control: the reading back taken out, clicks must be lost", 1)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_the_disk_fails_at_every_write_of_a_merge(batch: Batch, error: str, record: Record) -> None:
    """The engine installs the merged part anyway: the audit reports it, and the next start drops it."""
    k, damaged = 1, 0
    while True:
        code, failed = batch.strike_merge(f"error={error}:when={k}")
        if not any(str(batch.engine / "store") in line for line in failed) and k > 2:
            break  # the first two of a thread may be the pool's
        assert code != 3, "the audit passed a wrong number"
        damaged += code == 4
        batch.recover()
        k += 1
    record(f"{error} at each write of a merge, no kill", k - 1)
    assert damaged
