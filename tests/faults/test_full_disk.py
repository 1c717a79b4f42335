"""A file system that is really full: a small one under the engine, filled and freed while a worker counts."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Record
from tests.faults.engines import ENGINES
from tests.faults.processes import LONG, Program
from tests.faults.test_random_kills import CLICKS, nap
from tests.support.kafka_broker import require

TIMES = 60 if LONG else 8
BYTES = 64_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    require(None if os.geteuid() == 0 else "only root can mount a small file system")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "clickmill", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(file: Path, left: int) -> None:
    """Lets the file take up everything but so many bytes."""
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(100_000))
        except OSError:
            filler.truncate(max(0, filler.tell() - left))


@pytest.mark.parametrize("kind", ENGINES)
def test_a_disk_is_full_for_a_while(disk: Path, tmp_path: Path, kind: str, record: Record) -> None:
    dice, times, log = random.Random(), 0, tmp_path / "log"
    for world in itertools.count(1):
        engine = ENGINES[kind](disk / str(world))
        engine.start()
        program = Program(engine.url, world, CLICKS, log=log)
        assert program.said("claimed"), log.read_text()
        while program.child.poll() is None and times < TIMES:
            nap(dice)
            fill(disk / "filler", dice.randrange(2_000_000))
            time.sleep(dice.random() * 2)
            (disk / "filler").unlink()
            times += 1
        assert program.ended() == 0
        engine.kill()
        engine.start()
        assert Program(engine.url, world, CLICKS, log=log).ended() == 0, "after a start"
        engine.kill()
        if times == TIMES:
            break
    assert "NOT_ENOUGH_SPACE" in log.read_text()
    record("the file system full for a moment", times)
