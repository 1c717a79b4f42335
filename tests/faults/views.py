"""The compare-and-set view without a protection, or slowed down, to prove that the tests notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import migrations, statements

COMPARE = "AND throwIf(expect != markers[source * 131072 + partition * 2], 'EXPECT') = 0"
FENCE = "throwIf(epoch != markers[source * 131072 + partition * 2 + 1], 'FENCED') = 0"
SLOW = (COMPARE, f"{COMPARE} AND sleepEachRow(0.03) = 0")  # after the markers are read, before the part is written
NO_COMPARE = (COMPARE, "")
NO_FENCE = (FENCE, "1")


def markers_read_while(inserts: int) -> tuple[str, str]:
    """Throws unless that many inserts are under way before the markers are read, and sleeps at each reading."""
    markers = """SELECT maxMap(map(source * 131072 + partition * 2 + (grain = 'fence'), next))
        FROM rollup
        WHERE grain IN ('watermark', 'fence')"""
    under_way = "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'clickmill insert')"
    so = f"throwIf(({under_way}) != {inserts}, 'NOT SO') = 0"
    return markers, f"SELECT * FROM ({markers}) WHERE {so} AND sleepEachRow(0.001) = 0"


@contextmanager
def changed_view(db: ClickHouse, *changes: tuple[str, str]) -> Iterator[None]:
    """Replaces parts of the view's SQL; every replacement must hit."""
    original = [sql for _, _, file in migrations() for sql in statements(file) if "rollup_mv MODIFY QUERY" in sql][-1]
    sql = original
    for old, new in reversed(changes):
        assert old in sql
        sql = sql.replace(old, new)
    db.command(sql)
    try:
        yield
    finally:
        db.command(original)
