"""Shows what an update of the bot lists changes, and applies it: `python -m tests.support.bot_lists --help`."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections import Counter
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from rollups.bots.automaton import Judge
from rollups.bots.rules import KEPT, OURS, Kind, Rules, kept_rules

_LITERAL = re.compile(r"(\^?)((?:[^\\.^$*+?{}()|\[\]]|\\[^a-zA-Z0-9])+)(\$?)")
_TAGS = {
    "social-preview": Kind.PREVIEW,
    "monitoring": Kind.MONITOR,
    "http-library": Kind.LIBRARY,
    "scanner": Kind.TOOL,
    "browser-automation": Kind.TOOL,
}
_HEAD = """\
# Written by `python -m tests.support.bot_lists --take`; what we drop and add stands in ours.toml.
# From {0}, under the MIT licence: see LICENSES.
"""


def upstream() -> dict[str, tuple[set[Kind], set[str]]]:
    """The patterns of the installed lists as rules, each with its kinds and its lists."""
    import crawleruseragents
    from crawlerdetect.providers.crawlers import data

    ours = tomllib.loads(OURS.read_text())
    translated = {entry["pattern"]: entry["rules"] for entry in ours["translated"]}
    kinds = {rule: Kind[kind.upper()] for kind, rules in ours["kinds"].items() for rule in rules}
    found: dict[str, tuple[set[Kind], set[str]]] = {}
    for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        for rule in rules_of(entry["pattern"], translated):
            kind, lists = found.setdefault(rule, (set(), set()))
            kind |= {_TAGS.get(tag, Kind.CRAWLER) for tag in entry.get("tags", [])}
            lists.add("crawler-user-agents")
    for pattern in data:
        for rule in rules_of(pattern, translated):
            kind, lists = found.setdefault(rule, (set(), set()))
            kind |= {kinds[rule]} if rule in kinds else set()
            lists.add("crawlerdetect")
    return found


def rules_of(pattern: str, translated: dict[str, list[str]]) -> list[str]:
    if pattern in translated:
        return translated[pattern]
    literal = _LITERAL.fullmatch(pattern)
    if literal is None:
        raise SystemExit(f"translate the pattern in ours.toml, under `translated`: {pattern}")
    text = re.sub(r"\\(.)", r"\1", literal[2]).lower()
    if text != text.strip() and not text.strip():
        raise SystemExit(f"not a rule: {pattern}")
    return [literal[1] + text + literal[3]]


def table(found: dict[str, tuple[set[Kind], set[str]]]) -> str:
    """The text of `kept.tsv`: a rule, its kind, the lists that have it."""
    lists = " and ".join(f"{name} {version(name)}" for name in ("crawler-user-agents", "crawlerdetect"))
    rows = [
        f"{rule}\t{max(kinds, default=Kind.CRAWLER).name.lower()}\t{', '.join(sorted(names))}"
        for rule, (kinds, names) in sorted(found.items())
    ]
    return _HEAD.format(lists) + "\n".join(rows) + "\n"


def agents(path: Path) -> list[str]:
    """The user agents of a file: the strings of a YAML tree, or one a line."""
    if path.suffix not in {".yml", ".yaml"}:
        return path.read_text(errors="replace").splitlines()
    return list(_texts(yaml.safe_load(path.read_text())))


def _texts(tree: Any) -> chain[str] | list[str]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    return chain.from_iterable(map(_texts, tree)) if isinstance(tree, list) else [str(tree)] if tree else []


def samples() -> list[str]:
    """The sample agents of crawler-user-agents and of ours.toml."""
    import crawleruseragents

    ours = tomllib.loads(OURS.read_text())
    theirs = [agent for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA for agent in entry["instances"]]
    return theirs + [entry["sample"] for part in ("people", "dropped", "added") for entry in ours[part]]


def verdicts(rules: Rules, texts: list[str]) -> list[Kind | None]:
    return [Kind(kind) if kind else None for kind in Judge(rules).kinds(pa.array(texts, pa.string())).tolist()]


def report(name: str, rules: Rules, texts: list[str]) -> str:
    counts = Counter(verdicts(rules, texts))
    bots = len(texts) - counts[None]
    kinds = ", ".join(f"{kind.name.lower()} {counts[kind]}" for kind in Kind)
    return f"{name}: {bots} of {len(texts)} are bots ({bots / max(1, len(texts)):.1%}): {kinds}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.bot_lists",
        description="Compares the rules in force with the installed crawler-user-agents and crawlerdetect.",
    )
    parser.add_argument("--take", action="store_true", help="write kept.tsv from the installed lists")
    parser.add_argument("files", nargs="*", type=Path, help="more agents: YAML, or a line each; reported by kind too")
    given = parser.parse_args()
    now, then = KEPT.read_text() if KEPT.exists() else "", table(upstream())
    ours = tomllib.loads(OURS.read_text())
    old, new = dict(kept_rules(now)), dict(kept_rules(then))
    for rule in sorted(old.keys() | new.keys()):
        if old.get(rule) != new.get(rule):
            print(f"rule {rule!r}: {_said(old.get(rule), 'none')} -> {_said(new.get(rule), 'none')}")
    ours_then = ours | {"dropped": [entry for entry in ours["dropped"] if entry["rule"] in new]}
    ours_now = ours | {"dropped": [entry for entry in ours["dropped"] if entry["rule"] in old]}
    texts = list(dict.fromkeys(samples() + [agent for path in given.files for agent in agents(path)]))
    before, after = Rules.from_lists(old, ours_now), Rules.from_lists(new, ours_then)
    for agent, was, will in zip(texts, verdicts(before, texts), verdicts(after, texts), strict=True):
        if was != will:
            print(f"agent {agent!r}: {_said(was)} -> {_said(will)}")
    print("rules in force:", Rules.in_force().version)
    for path in given.files:
        print(report(path.name, after, agents(path)))
    if given.take:
        KEPT.write_text(then)


def _said(kind: Kind | None, none: str = "person") -> str:
    return none if kind is None else kind.name.lower()


if __name__ == "__main__":
    main()
