"""Classifies a user agent by the rules in force, one rule after the other: slow, and simple enough to be right."""

from __future__ import annotations

import re
from functools import cache

from rollups.bots.rules import Kind, Rule, Rules


@cache
def _in_force() -> tuple[tuple[Rule, ...], re.Pattern[str]]:
    rules = Rules.in_force()
    return rules.rules, re.compile("|".join(rules.people))


@cache
def kind(agent: str) -> Kind | None:
    rules, people = _in_force()
    lower = "".join(character.lower() if character.isascii() else character for character in agent[:512])
    text = "\n" + people.sub("\0", lower) + "\n"
    return max((rule.kind for rule in rules if _matches(rule, text)), default=None)


def _matches(rule: Rule, text: str) -> bool:
    word = "" if rule.anywhere or not re.match("[a-z0-9]", rule.text) else "(?<![a-z0-9])"
    return rule.text in text and re.search(word + re.escape(rule.text), text) is not None
