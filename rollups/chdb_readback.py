"""Verifies inserts into chDB, which reports a failed fsync but not a write that the disk refused.

Such a part is served from memory until the next start finds it broken and detaches it silently. Therefore each part of
an insert is compared with its checksums before the insert counts as done, and dropped if it differs
(docs/decisions/0009-read-back.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.errors import ClickmillError

Query = Callable[[str, Mapping[str, Any]], Sequence[tuple[Any, ...]]]
Check = Callable[[str, str], Mapping[str, str]]

# Parts of one block, written by an insert; merged parts hold several blocks.
_INSERTED = """
SELECT name, path FROM system.parts
WHERE database = currentDatabase() AND table = {table:String} AND active AND min_block_number = max_block_number
"""


class NotWritten(ClickmillError):
    """The disk refused a part of an insert; nothing of the insert is left."""


class ReadBack:
    """Verifies the inserts of one table. `check` says what is wrong with a part, by its name; `drop` removes it."""

    def __init__(self, table: str, query: Query, check: Check, drop: Callable[[str, str], None]) -> None:
        self._table, self._query, self._check, self._drop = table, query, check, drop
        self._lock = threading.Lock()
        self._sound: set[str] | None = None  # parts known to be on the disk
        self._dropped = 0

    @contextmanager
    def insert(self) -> Iterator[None]:
        """Wraps one insert. Raises NotWritten if it is not on the disk, after removing it from the table. Blocks.

        Concurrent inserts all get the error, since a part does not show which insert wrote it.
        """
        with self._lock:
            dropped = self._dropped
            if self._sound is None:
                self._sound = set(self._parts())
        try:
            yield
        finally:
            with self._lock:
                damage = self._settle(self._sound)
                if self._dropped != dropped:
                    raise NotWritten(f"the disk did not keep what was inserted into {self._table}: {damage}")

    def _settle(self, sound: set[str]) -> str:
        parts, found = self._parts(), []
        sound &= parts.keys()
        for name in sorted(parts.keys() - sound):
            try:
                if damage := _empty_text_file(parts[name]) or self._check(self._table, name).get(name):
                    self._drop(self._table, name)
                    self._dropped += 1
                    found.append(damage)
                else:
                    sound.add(name)
            except Exception:
                if name in self._parts():  # else it was dropped, or merged, which read it
                    raise
        return ", ".join(found) or "a part of an insert at the same time is damaged"

    def _parts(self) -> dict[str, Path]:
        return {name: Path(path) for name, path in self._query(_INSERTED, {"table": self._table})}


def _empty_text_file(part: Path) -> str:
    """Which text file is empty, if any: checksums do not cover all of them, and a sound part has no empty one."""
    texts = [*part.glob("*.txt"), *part.glob("*.json")]
    return next((f"{text.name} is empty" for text in texts if not text.stat().st_size), "")
