"""Random kill -9 of the worker, of ClickHouse, and of both in one process; all numbers are checked after each world."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rollups.clickhouse import ClickHouse
from tests.faults.conftest import Record
from tests.faults.processes import LONG, Program
from tests.support.clickhouse_server import ClickHouseServer, start_clickhouse_server

KILLS = 200 if LONG else 34
CLICKS = 1500


@contextmanager
def server(directory: Path) -> Iterator[ClickHouseServer]:
    with ExitStack() as resources:
        yield resources.enter_context(start_clickhouse_server(directory / "engine"))


def nap(dice: random.Random) -> None:
    time.sleep(dice.random() ** 2 * 1.2)


def kill_until_done(url: str, world: int, kills: int, log: Path) -> int:
    """Starts and kills workers of one world until one ends by itself, or after `kills`. Returns their number."""
    dice, killed = random.Random(), 0
    while killed < kills:
        program = Program(url, world, CLICKS, log=log)
        if program.said("claimed"):
            nap(dice)
        program.kill()
        if program.child.returncode != -signal.SIGKILL:
            break
        killed += 1
    assert Program(url, world, CLICKS, log=log).ended() == 0
    return killed


def test_kill_the_worker(tmp_path: Path, record: Record) -> None:
    kills = 0
    for world in itertools.count(1):
        with server(tmp_path / str(world)) as engine:
            kills += kill_until_done(engine.url, world, KILLS - kills, tmp_path / "log")
        if kills == KILLS:
            break
    record("random kill -9 of the worker", kills)


def test_kill_clickhouse(tmp_path: Path, record: Record) -> None:
    dice, kills, worlds = random.Random(), 0, 0
    while kills < KILLS:
        worlds += 1
        with server(tmp_path / str(worlds)) as engine:
            program = Program(engine.url, worlds, CLICKS, log=tmp_path / "log")
            assert program.said("claimed"), program.log.read_text()
            while program.child.poll() is None and kills < KILLS:
                nap(dice)
                if program.child.poll() is None:
                    engine.kill()
                    engine.start()
                    kills += 1
                    time.sleep(0.3)  # the worker retries with back-off
            assert program.ended() == 0
    record("random kill -9 of ClickHouse, the worker goes on", kills)


def test_kill_both(tmp_path: Path, record: Record) -> None:
    kills = 0
    for world in itertools.count(1):
        kills += kill_until_done(f"chdb://{tmp_path}/{world}", world, KILLS - kills, tmp_path / "log")
        if kills == KILLS:
            break
    record("random kill -9 of worker and ClickHouse in one process", kills)


def test_stop_a_worker_in_its_tracks(tmp_path: Path, record: Record) -> None:
    """SIGSTOP anywhere, between a fetch and its insert or inside one; another worker takes over; SIGCONT."""
    dice, stops = random.Random(), 0
    with server(tmp_path) as engine:
        for world in itertools.count(1000):
            if stops == (60 if LONG else 12):
                break
            zombie = Program(engine.url, world, CLICKS, "--once", log=tmp_path / "log")
            assert zombie.said("claimed"), zombie.log.read_text()
            nap(dice)
            if zombie.child.poll() is not None:  # it had finished
                empty(engine)
                continue
            zombie.signal(signal.SIGSTOP)
            heir = Program(engine.url, world, CLICKS, log=tmp_path / "log")
            if dice.random() < 0.5:  # it finishes before the zombie wakes, or they overlap
                assert heir.ended() == 0
            else:
                heir.said("claimed")
                nap(dice)
            zombie.signal(signal.SIGCONT)
            zombie.ended()
            assert heir.child.returncode == 0 or heir.ended() == 0
            assert Program(engine.url, world, CLICKS, log=tmp_path / "log").ended() == 0, "rows of the zombie"
            stops += 1
            empty(engine)
    record("a worker stopped anywhere and woken after its successor claimed", stops)


def empty(engine: ClickHouseServer) -> None:
    """Empties the database for the next world."""
    db = ClickHouse(engine.url)
    for table in ("rollup", "seen"):
        db.command(f"TRUNCATE TABLE {table}")
    db.close()
