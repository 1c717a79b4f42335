"""The lines of a log file, plain or gzip, parsed one at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import IO

from ingest.errors import InvalidInput
from ingest.event import Click, Fault, Rejected, validate_and_normalize, validate_size

MAX_LINE_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class Skipped(StrEnum):
    """Lines that hold no click, by design of the format."""

    BLANK = "blank"
    HEARTBEAT = "heartbeat"


Outcome = Click | Rejected | Skipped
Parse = Callable[[bytes], Outcome]


class DamagedFile(InvalidInput):
    """The file cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number from 1, its outcome, and the bytes of the stored file read so far."""

    number: int
    outcome: Outcome
    position: int


def read_lines(path: Path, parse: Parse) -> Iterator[Line]:
    """Every line of the file; a click without an id gets one from `event_id`. Raises DamagedFile. Blocks."""
    number = 0
    with path.open("rb") as stored, _unpacked(stored) as stream:
        try:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield Line(number, _outcome(raw, stream, parse, path, number), stored.tell())
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedFile(
                f"{path} is damaged after line {number}; the lines before are imported: {error}"
            ) from error


Stream = IO[bytes] | gzip.GzipFile


def _unpacked(stored: IO[bytes]) -> Stream:
    packed = stored.read(2) == _GZIP_MAGIC
    stored.seek(0)
    return gzip.GzipFile(fileobj=stored) if packed else stored


def _outcome(raw: bytes, stream: Stream, parse: Parse, path: Path, number: int) -> Outcome:
    if len(raw) > MAX_LINE_BYTES:
        start = raw
        while raw and not raw.endswith(b"\n"):
            raw = stream.readline(MAX_LINE_BYTES)
        return Rejected(Fault.TOO_LARGE, f"the line has more than {MAX_LINE_BYTES} bytes", start)
    line = raw.strip()
    if not line:
        return Skipped.BLANK
    outcome = parse(line)
    if not isinstance(outcome, Click):
        return outcome
    if problem := validate_size(outcome):
        return Rejected(*problem, line)
    outcome.event_id = outcome.event_id or event_id(path, number, line)
    return outcome


def event_id(path: Path, number: int, line: bytes) -> str:
    """An id that depends on the file's name (without .gz), the line's number and its bytes.

    The bytes are needed because logs of several servers share a name, and a rotated log keeps its own.
    """
    place = f"{path.name.removesuffix('.gz')}\0{number}\0".encode()
    return f"{blake2b(place + line, digest_size=16).hexdigest()}-{number}"


def click_or_rejected(click: Click, raw: bytes) -> Click | Rejected:
    """The click if it is valid, else its fault. Normalizes `domain`."""
    problem = validate_and_normalize(click)
    return Rejected(*problem, raw) if problem else click
