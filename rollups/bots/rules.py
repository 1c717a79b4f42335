"""The rules that detect bots by user agent, as data: published lists, and our removals and additions.

Rules are lower-case literals, so one automaton finds all of them in linear time. `python -m tests.support.bot_lists`
writes `kept.tsv`; `ours.toml` is written by hand. Each file explains its format at its head.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

KEPT, OURS = Path(__file__).with_name("kept.tsv"), Path(__file__).with_name("ours.toml")


class Kind(IntEnum):
    """The purpose of a bot. If several rules match, the highest kind wins."""

    CRAWLER = 1  # reads pages for an index, a model or a report
    LIBRARY = 2  # a program that does not state its purpose
    TOOL = 3  # scanners, testers and automated browsers
    MONITOR = 4  # checks whether a page is up
    PREVIEW = 5  # fetches a link to show a preview of it


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches an agent that contains the text; `\\n` in it stands for the start or end of the agent.

    A text that begins with a letter or digit matches only at the start of a word, unless `anywhere`.
    """

    text: str
    kind: Kind
    anywhere: bool = False

    @classmethod
    def read(cls, written: str, kind: Kind) -> Rule:
        """Parses a rule: `^` and `$` are the start and end of the agent, a leading `*` means `anywhere`."""
        anywhere, written = written.startswith("*"), written.removeprefix("*")
        start, end = written.startswith("^"), written.endswith("$")
        text = written.removeprefix("^").removesuffix("$")
        if not text or text != text.lower() or not text.isascii() or "\n" in text:
            raise ValueError(f"not a rule: {written!r}")
        return cls("\n" * start + text + "\n" * end, kind, anywhere)


@dataclass(frozen=True, slots=True)
class Rules:
    rules: tuple[Rule, ...]
    people: tuple[str, ...]  # RE2 patterns that are removed from an agent before matching
    version: str  # of all rules in force

    @classmethod
    def in_force(cls) -> Rules:
        kept, ours = KEPT.read_bytes(), OURS.read_bytes()
        return cls.from_lists(
            dict(kept_rules(kept.decode())), tomllib.loads(ours.decode()), sha256(kept + ours).hexdigest()
        )

    @classmethod
    def from_lists(cls, kept: dict[str, Kind], ours: dict[str, Any], digest: str = "") -> Rules:
        dropped = {entry["rule"] for entry in ours["dropped"]}
        if unknown := dropped - kept.keys():
            raise ValueError(f"dropped, but not in the kept lists: {sorted(unknown)}")
        taken = {written: kind for written, kind in kept.items() if written not in dropped}
        taken |= {entry["rule"]: Kind[entry["kind"].upper()] for entry in ours["added"]}
        rules = [Rule.read(written, kind) for written, kind in taken.items()]
        return cls(tuple(_needed(rules)), tuple(entry["pattern"] for entry in ours["people"]), digest[:12])


def _needed(rules: list[Rule]) -> Iterator[Rule]:
    """Omits a rule if another of the same or a higher kind matches all that it matches."""
    anywhere = [rule for rule in rules if rule.anywhere]
    known = {rule.text: rule for rule in rules}
    for rule in rules:
        within = [other for other in anywhere if other is not rule and other.text in rule.text]
        before = [known[rule.text[:end]] for end in range(1, len(rule.text)) if rule.text[:end] in known]
        within += [other for other in before if other.anywhere >= rule.anywhere]
        if not any(other.kind >= rule.kind for other in within):
            yield rule


def kept_rules(table: str) -> Iterator[tuple[str, Kind]]:
    """Rules of `kept.tsv` in their written form."""
    for line in table.splitlines():
        if not line.startswith("#"):
            written, kind, _ = line.split("\t")
            yield written, Kind[kind.upper()]
