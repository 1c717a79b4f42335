"""Retired names do not come back: in code, in file names, and in the docs' code.

After a rename add the old name here. Prose may use the word.
"""

from __future__ import annotations

import re
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = [path for top in ("ingest", "rollups", "api", "deploy", "tests", "bench") for path in (ROOT / top).rglob("*.py")]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
NAMES = """
    Allowance Answers Buffer CallOff CalledOff Columns Counters Deliveries Documented EVERYTHING Errand Errands
    Fields Gate Held Home Identify KeyMemory KeyTable LimitedBody Limits LogBatch Look Observer PATIENCE_SECONDS
    Owner Pace PacedRefusals PartitionMemory Parts PatientProtocol PoisonGuard Portion Prepare Prepared Pulse Running
    StandingHeaders Store StoreError StoreUnavailable Strangers Taken Tally TopicLook Unpackable administering admit
    answering auditing build_parts buried_ms bury dialled_settings errand errands feeding greet guarded_router hashset
    identify_as is_over key_table looked_at objection of_data_dir patience reading_store recall say_once stamped
    standing_headers take_back while_it_beats while_there with_event_id
"""
RETIRED = frozenset(NAMES.split())


@cache
def identifiers(path: Path) -> set[str]:
    """The names in a Python file, and the name of the file."""
    with path.open("rb") as source:
        return {
            path.stem,
            *(token.string for token in tokenize.tokenize(source.readline) if token.type == tokenize.NAME),
        }


def words_of_code(page: str) -> set[str]:
    """The words in code spans and in blocks of Python."""
    python = re.findall(r"^```py\w*\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"\w+", " ".join(python + re.findall(r"`([^`]+)`", prose))))


def test_code_has_no_retired_name() -> None:
    found = {str(path.relative_to(ROOT)): identifiers(path) & RETIRED for path in CODE}
    assert len(found) > 200
    assert not {path: names for path, names in found.items() if names}


def test_constants_of_limits_begin_with_max_or_min() -> None:
    other = re.compile(r"_?(MOST|LONGEST|LEAST|SHORTEST)(_[A-Z_]+)?")
    found = {str(path.relative_to(ROOT)): list(filter(other.fullmatch, identifiers(path))) for path in CODE}
    assert not {path: names for path, names in found.items() if names}


def test_docs_have_no_retired_name() -> None:
    found = {str(path.relative_to(ROOT)): words_of_code(path.read_text()) & RETIRED for path in PAGES}
    assert len(found) > 20
    assert not {path: names for path, names in found.items() if names}
