"""The words of the helper: phrases of six languages and what they mean, from `words/`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from api.integration.folding import folded
from api.integration.single_dates import date_names

LANGUAGES = ("en", "ko", "es", "pt", "de", "ja")
MIN_CORRECTED = 5  # letters of a word that may have a typing error

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3々"
# A date in digits, a number, a character of Japanese or Korean, a word of an alphabet, or any other visible character.
NUMERIC_DATE = (
    r"[0-9]{4}[-./][0-9]{1,2}(?:[-./][0-9]{1,2})?(?![0-9])"
    r"|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:[0-9]{4}|[0-9]{2})(?![0-9])"
    r"|[0-9]{1,2}/[0-9]{1,2}(?![0-9])|[0-9]{1,2}\.[0-9]{1,2}\.(?![0-9])"
)
ATOM = re.compile(rf"{NUMERIC_DATE}|[0-9]+|[{_CJK}]|[^\W\d_{_CJK}]+|\S")
_ENDINGS = ("en", "em", "er", "es", "e", "n", "s", "as", "os", "a", "o")


@dataclass(slots=True)
class Node:
    """A place in the tree of phrases, whose edges are atoms."""

    next: dict[str, Node] = field(default_factory=dict)
    meanings: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The phrases of a language, and those of English, which are used everywhere."""

    root: Node
    misspelt: Mapping[str, str]  # a word without one of its letters → the word
    words: frozenset[str]

    def corrected(self, word: str) -> str:
        """The known word that differs from this one in a letter or an ending, else the word itself."""
        if word in self.words or len(word) < MIN_CORRECTED:
            return word
        stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
        known = (stem + ending for stem in stems if len(stem) >= MIN_CORRECTED for ending in ("", *_ENDINGS))
        if inflected := next((each for each in known if each in self.words), None):
            return inflected
        return next((self.misspelt[part] for part in (word, *sorted(shortened(word))) if part in self.misspelt), word)


def atoms_of(phrase: str) -> list[str]:
    return ATOM.findall(folded(phrase))


def shortened(word: str) -> set[str]:
    return {word[:place] + word[place + 1 :] for place in range(len(word))}


@cache
def phrases(language: str) -> dict[str, list[str]]:
    """Phrases by meaning."""
    return tomllib.loads((files("api.integration") / "words" / f"{language}.toml").read_text())


@cache
def own_words(language: str) -> frozenset[str]:
    spoken = (atom for texts in phrases(language).values() for text in texts for atom in atoms_of(text))
    return frozenset(spoken) | date_names(language).keys()


@cache
def exact_words(language: str) -> frozenset[str]:
    """The words with their accents, which tell languages apart."""
    return frozenset(word for texts in phrases(language).values() for text in texts for word in text.casefold().split())


@cache
def lexicon(language: str) -> Lexicon:
    """Built once for each language: a few milliseconds."""
    root = Node()
    own = {folded(text) for texts in phrases(language).values() for text in texts}
    for spoken in dict.fromkeys((language, "en")):
        known = set() if spoken == language else own
        for meaning, texts in phrases(spoken).items():
            _add(root, meaning, (text for text in texts if folded(text) not in known))
        for name, kind in date_names(spoken).items():
            if name not in known:
                _add(root, kind, [name])
    words = own_words(language) | own_words("en")
    long = sorted(word for word in words if len(word) >= MIN_CORRECTED and word.isascii())
    misspelt = {part: word for word in long for part in (*shortened(word), word) if part not in words or part == word}
    return Lexicon(root, misspelt, words)


def _add(root: Node, meaning: str, texts: Iterable[str]) -> None:
    for text in texts:
        node = root
        for atom in atoms_of(text):
            node = node.next.setdefault(atom, Node())
        node.meanings |= {meaning}
