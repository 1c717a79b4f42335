"""Bytes on disk after merges, by grain; size and error of the user sets beside alternatives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.data.events import events
from bench.limit import load, prepare
from bench.report.results import show
from rollups.clickhouse import ClickHouse

_EVENTS, _QUICK_EVENTS = 2_000_000, 500_000
_GRAINS = ("link_hour", "account_hour")
CHOSEN = "uniq"
_FUNCTIONS = (CHOSEN, *(f"uniqCombined({bits})" for bits in (12, 14, 16, 17)), "uniqCombined64(17)")
_OTHER_FUNCTIONS = ("uniqHLL12", "uniqTheta", "uniqExact")
_CODECS = ("LZ4", "ZSTD(3)")
_KEYS = "grain, owner, day, hour, domain, link_id"
_WIDE = "SETTINGS min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"

_CLICKS = """
CREATE TABLE clicks ENGINE = MergeTree ORDER BY (grain, owner, day, hour, domain, link_id) AS
SELECT arrayJoin(['link_hour', 'account_hour']) AS grain, account_id AS owner, toDate(at) AS day, toHour(at) AS hour,
    if(grain = 'link_hour', concat('https://', domain), '') AS domain, if(grain = 'link_hour', link_id, '') AS link_id,
    sipHash64(visitor_id) AS user, fromUnixTimestamp64Milli(clicked_at, 'UTC') AS at
FROM file({path:String}, 'JSONEachRow',
    'clicked_at UInt64, account_id UInt64, domain String, link_id String, visitor_id String')
"""
_EXACT = f"""
CREATE TABLE exact ENGINE = MergeTree ORDER BY tuple() AS
SELECT {_KEYS}, uniqExact(user) AS users FROM clicks GROUP BY {_KEYS}
"""
_ERRORS = f"""
SELECT max(error), avgIf(error, exact.users >= 1000), argMax(error, exact.users),
    if(countIf(error > 0) = 0, max(exact.users), minIf(exact.users, error > 0) - 1)
FROM (SELECT {_KEYS}, {{merge}}(users) AS found FROM wide GROUP BY {_KEYS}) AS sets
INNER JOIN exact USING ({_KEYS})
"""
_ERROR = "abs(toInt64(found) - toInt64(exact.users)) / exact.users"


def run(*, quick: bool = False) -> dict[str, Any]:
    count = _QUICK_EVENTS if quick else _EVENTS
    with tempfile.TemporaryDirectory() as name:
        lines = Path(name) / "events.jsonl"
        db = ClickHouse(f"chdb://{name}/engine", connections=1)
        try:
            shapes = {}
            for shape, hours in (("one hour", 1.0), ("a day", 24.0)):
                _write(lines, count, hours)
                prepare(db)
                load(db, lines)
                shapes[shape] = _grains(db, count)
                if shape == "one hour":
                    codecs = {codec: _rollup_with(db, codec, count) for codec in _CODECS}
                    functions = _functions(db, lines, count)
        finally:
            db.close()
    return {
        "events": count,
        "bytes_per_click": shapes["one hour"]["all"]["bytes_per_click"],
        "shapes": shapes,
        "codecs_bytes_per_click": codecs,
        "chosen_function": CHOSEN,
        "functions": functions,
    }


def _write(lines: Path, count: int, hours: float) -> None:
    with lines.open("wb") as file:
        file.writelines(value + b"\n" for _, value in events(count, hours=hours))


def _grains(db: ClickHouse, clicks: int) -> dict[str, dict[str, float]]:
    """Bytes of the whole table, and of copies with a single grain."""
    db.command("OPTIMIZE TABLE rollup FINAL")
    sizes = {"all": _size(db, "rollup", clicks)}
    for grain in _GRAINS:
        db.command("CREATE OR REPLACE TABLE grain AS rollup")
        db.command(f"INSERT INTO grain SELECT * FROM rollup WHERE grain = '{grain}'")
        db.command("OPTIMIZE TABLE grain FINAL")
        sizes[grain] = _size(db, "grain", clicks)
    return sizes


def _size(db: ClickHouse, table: str, clicks: int) -> dict[str, float]:
    [(size, rows)] = db.query(
        "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() "
        "AND table = {table:String}",
        {"table": table},
    )
    return {
        "rows": rows,
        "bytes_per_click": size / clicks,
        "mb_per_million_clicks": size / clicks,
        "clicks_per_row": clicks / rows,
        "user_set_bytes_per_click": _set_bytes(db, f"SELECT {_KEYS}, users FROM {table}") / clicks,
    }


def _set_bytes(db: ClickHouse, rows: str) -> int:
    """Bytes of the column `users` of these rows; only a part with a file for each column shows them."""
    db.command(f"CREATE OR REPLACE TABLE wide ENGINE = AggregatingMergeTree ORDER BY ({_KEYS}) {_WIDE} AS {rows}")
    db.command("OPTIMIZE TABLE wide FINAL")
    [(size,)] = db.query(
        "SELECT sum(column_bytes_on_disk) FROM system.parts_columns WHERE active AND database = currentDatabase() "
        "AND table = 'wide' AND column = 'users'"
    )
    return int(size)


def _rollup_with(db: ClickHouse, codec: str, clicks: int) -> float:
    """Bytes a click of the whole table with this codec for every column."""
    [(statement,)] = db.query("SHOW CREATE TABLE rollup")
    statement = statement.replace(".rollup", ".packed", 1) + f", default_compression_codec = '{codec}'"
    db.command("DROP TABLE IF EXISTS packed")
    db.command(statement)
    db.command("INSERT INTO packed SELECT * FROM rollup")
    db.command("OPTIMIZE TABLE packed FINAL")
    return _size(db, "packed", clicks)["bytes_per_click"]


def _functions(db: ClickHouse, lines: Path, clicks: int) -> dict[str, dict[str, float]]:
    """Every function over the same sets of users: bytes, and errors from the exact number."""
    db.command(_CLICKS, {"path": str(lines)})
    db.command(_EXACT)
    found = {}
    for function in (*_FUNCTIONS, *_OTHER_FUNCTIONS):
        name, _, arguments = function.partition("(")
        if not db.query("SELECT 1 FROM system.functions WHERE name = {name:String}", {"name": name}):
            continue  # the engine of chDB was built without uniqTheta
        arguments = f"({arguments}" if arguments else ""
        size = _set_bytes(db, f"SELECT {_KEYS}, {name}State{arguments}(user) AS users FROM clicks GROUP BY {_KEYS}")
        [(largest,)] = db.query("SELECT max(length(CAST(users AS String))) FROM wide")
        errors = _ERRORS.format(merge=f"{name}Merge{arguments}").replace("error", _ERROR)
        [(worst, mean, of_largest, exact_to)] = db.query(errors)
        found[function] = {
            "bytes_per_click": size / clicks,
            "largest_state_bytes": largest,
            "worst_error": worst,
            "mean_error_from_1000": mean,
            "error_of_largest": of_largest,
            "exact_to_users": exact_to,
        }
    return found


def table(result: dict[str, Any]) -> None:
    show(
        f"storage: {result['events']:,} clicks, after merges",
        ["spread over", "grain", "bytes a click", "of it user sets", "clicks a row"],
        [
            (shape, grain, row["bytes_per_click"], row["user_set_bytes_per_click"], row["clicks_per_row"])
            for shape, grains in result["shapes"].items()
            for grain, row in grains.items()
        ],
        ["codec of every column → bytes a click: " + str(result["codecs_bytes_per_click"])],
    )
    show(
        f"user sets of both grains; chosen: {result['chosen_function']}",
        ["function", "bytes a click", "largest state", "worst error %", "mean % from 1000", "exact up to"],
        [
            (
                name,
                row["bytes_per_click"],
                row["largest_state_bytes"],
                100 * row["worst_error"],
                100 * row["mean_error_from_1000"],
                row["exact_to_users"],
            )
            for name, row in result["functions"].items()
        ],
    )
