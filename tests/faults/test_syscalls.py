"""Kill -9, a full disk and a broken one at every rename, mkdir, write and fsync of a batch, one call at a time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.faults.conftest import Record
from tests.faults.engines import ENGINES, Embedded, Server
from tests.faults.processes import Program, Strace, needs_strace

FIRST, CLICKS = 30, 150
SEED = 11
CALLS = {"rename": "/^rename", "mkdir": "/^mkdir", "write": "/^p?write", "sync": "/^f(data)?sync"}
ERRORS = ("ENOSPC", "EIO")
_STRUCK = ("(INJECTED)", "killed by SIGKILL")


@dataclass(frozen=True)
class Part:
    """A part to strike: what writes it, under which temporary name, and the program for it, with its options."""

    writer: str
    prefix: str
    clicks: int
    options: tuple[str, ...] = ()
    module: str = "program"


SEEN, LANDING = (
    Part(f"an insert into {name}", "tmp_insert", CLICKS, ("--most", "20", "--pause", table))
    for table, name in (("seen", "seen"), ("landing", "the rollups"))
)
MERGE = Part("a merge", "tmp_merge", FIRST, module="merge")
INSERTS = pytest.mark.parametrize("part", [SEEN, LANDING], ids=["seen", "landing"])


class Batch:
    """One batch over a database with a first part, repeated with a fault at its k-th call."""

    def __init__(self, directory: Path, engine: Embedded | Server) -> None:
        self.directory, self.engine, self.saved = directory, engine, directory / "saved"
        engine.start()
        program = self._program(FIRST, "--pause", "seen")  # which also ends merges: parts have the same names each time
        assert program.said("go?"), program.log.read_text()
        program.go()
        assert program.ended() == 0
        engine.stop()
        shutil.copytree(engine.path, self.saved, symlinks=True)  # chDB links to its own absolute path

    def _program(self, clicks: int, *options: str, module: str = "program") -> Program:
        return Program(self.engine.url, SEED, clicks, *options, log=self.directory / "log", module=module)

    @cache  # noqa: B019 - as long as the directory
    def files(self, part: Part) -> list[str]:
        """The first directory and its files that are written, before the rename."""
        _, calls = self._strike(part, "/^open", "", [])
        opened = [match for call in calls if (match := re.search(rf'"([^"]*/({part.prefix}[^/"]*))/([^/"]+)"', call))]
        path = opened[0][1]
        return [path, f"{path}/", *{f"{path}/{match[3]}" for match in opened if match[1] == path}]

    def strike(self, part: Part, call: str, fault: str, *options: str) -> tuple[int, list[str]]:
        """Injects a fault. Returns (exit status of the program, what was struck as traced)."""
        code, calls = self._strike(part, CALLS[call], fault, self.files(part), *options)
        return code, [line for line in calls if any(word in line for word in _STRUCK)]

    def _strike(self, part: Part, call: str, fault: str, paths: list[str], *options: str) -> tuple[int, list[str]]:
        self.engine.kill()
        shutil.rmtree(self.engine.path)
        shutil.copytree(self.saved, self.engine.path, symlinks=True)
        self.engine.start()
        program = self._program(part.clicks, *part.options, *options, module=part.module)
        try:
            assert program.said("go?"), program.log.read_text()
            log = self.directory / "strace"
            with Strace(self.engine.pid(program.child), call, log, fault, paths):
                program.go()
                code = self.engine.wait(program.child)
        finally:
            program.kill()  # it would write into the next experiment
        return code, log.read_text().splitlines()

    def recover(self) -> None:
        """After a start of the engine, another worker goes on, and succeeds only if every number is right."""
        self.engine.kill()
        self.engine.start()
        assert self._program(CLICKS).ended() == 0


@pytest.fixture(scope="module", params=ENGINES)
def batch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    needs_strace()
    directory = tmp_path_factory.mktemp("syscalls")
    engine = ENGINES[request.param](directory / "engine")
    yield Batch(directory, engine)
    engine.kill()


@pytest.mark.parametrize("call", CALLS)
@INSERTS
def test_kill_at_every_call(batch: Batch, part: Part, call: str, record: Record) -> None:
    """The worker of a server goes on by itself."""
    k = 1
    while True:
        code, killed = batch.strike(part, call, f"error=EIO:signal=KILL:when={k}")
        if not killed:
            break  # the insert has fewer such calls
        if code != 0:
            batch.recover()
        k += 1
    record(f"kill -9 at each {call} of {part.writer}", k - 1)
    assert k > 1


@pytest.mark.parametrize("call", CALLS)
@INSERTS
def test_the_disk_fails_at_every_call(batch: Batch, part: Part, call: str, record: Record) -> None:
    """The worker goes on, and a later start finds all counted clicks, whatever the engine reported."""
    k = 1
    while True:
        code, failed = batch.strike(part, call, f"error={ERRORS[k % 2]}:when={k}")
        assert code == 0, failed
        if not failed:
            break
        batch.recover()
        k += 1
    record(f"disk full or broken at each {call} of {part.writer}, no kill", k - 1)
    assert k > 1


@pytest.mark.parametrize(("batch", "k", "noticed"), [("chDB", 7, False), ("server", 4, True)], indirect=["batch"])
def test_unprotected_a_refused_write_is_lost(
    batch: Batch, k: int, noticed: bool, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    """Without the reading back of chDB's parts, or without the server's error; the audit may notice it at once."""
    monkeypatch.setattr(batch.engine, "environment", {}, raising=False)
    code, failed = batch.strike(LANDING, "write", f"error=EIO:when={k}", "--blind")
    assert (code, len(failed)) == (3 if noticed else 0, 1)
    with pytest.raises(AssertionError, match="records are accounted for, the watermark is"):
        batch.recover()
    record("control: reading back, or the error, taken out: clicks must be lost", 1)


def test_the_disk_fails_at_every_write_of_a_merge(batch: Batch, record: Record) -> None:
    """A server discards the merged part. chDB installs it: the audit reports it, and the next start drops it."""
    k, damaged = 1, 0
    while True:
        code, failed = batch.strike(MERGE, "write", f"error={ERRORS[k % 2]}:when={k}")
        assert code != 3, "the audit passed a wrong number"
        if not failed:
            break
        damaged += code == 4
        batch.recover()
        k += 1
    record("disk full or broken at each write of a merge, no kill", k - 1)
    assert k > 1
    assert bool(damaged) == isinstance(batch.engine, Embedded)
