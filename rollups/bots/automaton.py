"""All rules about user agents as one automaton, over whole columns."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind
from numpy.typing import NDArray

from rollups.bots.rules import Rules

Kinds = NDArray[np.uint8]

_MAX_AGENT_LENGTH = 512  # characters examined; no real user agent is longer
_AT_ONCE = 256  # agents; bounds the matches in memory: a hostile text has hundreds
_WORD = np.zeros(256, bool)
_WORD[list(b"abcdefghijklmnopqrstuvwxyz0123456789")] = True


class Judge:
    """Takes linear time for any text, and holds the GIL only for the matches that it finds."""

    def __init__(self, rules: Rules) -> None:
        texts = [rule.text.encode() for rule in rules.rules]
        self._automaton = BytesAhoCorasick(texts, matchkind=MatchKind.Standard, implementation=Implementation.DFA)
        self._people = "|".join(rules.people)
        self._kinds = np.array([rule.kind for rule in rules.rules], np.uint8)
        self._starts_word = np.array(
            [not rule.anywhere and _WORD[text[0]] for rule, text in zip(rules.rules, texts, strict=True)], bool
        )

    def kinds(self, agents: pa.StringArray) -> Kinds:
        """A `Kind` for each agent, 0 for people and for null."""
        distinct = pc.utf8_slice_codeunits(agents, 0, _MAX_AGENT_LENGTH).dictionary_encode()
        bare = pc.replace_substring_regex(pc.ascii_lower(distinct.dictionary), self._people, "\0")
        framed = pc.binary_join_element_wise("\n", bare, "\n", "")
        parts = [self._found(framed[start : start + _AT_ONCE]) for start in range(0, len(framed), _AT_ONCE)]
        kinds: Kinds = np.concatenate([*parts, np.zeros(1, np.uint8)])  # the last one is for null
        codes: NDArray[np.int32] = distinct.indices.fill_null(len(framed)).to_numpy()
        return kinds[codes]

    def kind(self, agent: str) -> int:
        """The `Kind` of one agent, 0 for a person. Cheap for people: most agents have no match at all."""
        text = b"\n%b\n" % agent[:_MAX_AGENT_LENGTH].encode().lower()
        if not self._automaton.find_matches_as_indexes(text, overlapping=True):
            return 0
        return int(self.kinds(pa.array([agent], pa.string()))[0])

    def _found(self, framed: pa.StringArray) -> Kinds:
        _, places, characters = framed.buffers()
        ends = np.frombuffer(places, np.int32)[framed.offset : framed.offset + len(framed) + 1]
        text = np.frombuffer(characters, np.uint8)[ends[0] : ends[-1]]
        kinds = np.zeros(len(framed), np.uint8)
        if matches := self._automaton.find_matches_as_indexes(text.data, overlapping=True):
            found = np.fromiter(chain.from_iterable(matches), np.int64, 3 * len(matches))
            rules, starts = found[::3], found[1::3]
            within = self._starts_word[rules] & _WORD[text[starts - 1]]  # text[-1] is a line end
            rules, starts = rules[~within], starts[~within]
            np.maximum.at(kinds, np.searchsorted(ends - ends[0], starts, "right") - 1, self._kinds[rules])
        return kinds
