"""Reads a sentence into tokens: links, numbers, and phrases with their meanings. Time is linear in its length."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import unquote

from api.integration.folding import folded
from api.integration.lexicon import ATOM, LANGUAGES, Lexicon, exact_words, lexicon, own_words

_LINK = re.compile(r"(?:(https?)://)?([A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,})/(\S+)")
_DOMAIN = re.compile(r"(?:https?://)?[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,}")
_QUOTED = re.compile('"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|「([^」]+)」|『([^』]+)』')
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_CONTROL = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_END = ".,;:!?)]}'\"’”»」』。、？！"


@dataclass(slots=True)
class Token:
    """A part of the sentence. `meanings` is empty for what is unknown."""

    text: str  # as it was written
    start: int
    end: int
    meanings: frozenset[str] = frozenset()
    number: int | None = None
    quoted: str | None = None
    known: str | None = None  # the phrase that it is taken for, folded
    used: bool = False

    def means(self, *meanings: str) -> bool:
        return not self.meanings.isdisjoint(meanings)


def number_word(token: Token) -> int | None:
    return next((int(each[7:]) for each in token.meanings if each.startswith("number_")), None)


@dataclass(slots=True)
class Sentence:
    text: str
    language: str
    tokens: list[Token]
    links: list[tuple[str, str]] = field(default_factory=list)  # domain, link id
    domains: list[str] = field(default_factory=list)

    def has(self, *meanings: str) -> bool:
        return any(token.means(*meanings) for token in self.tokens)


def read_sentence(text: str) -> Sentence:
    text = _CONTROL.sub(" ", text).strip()
    links: list[tuple[str, str]] = []
    domains: list[str] = []
    text = _without_links(text, links, domains)
    text = unicodedata.normalize("NFKC", text)
    language = language_of(text)
    return Sentence(text, language, _tokens(text, lexicon(language)), links, domains)


def language_of(text: str) -> str:
    """The language with the most words of the text; Korean and Japanese by their scripts."""
    if re.search("[\uac00-\ud7a3]", text):
        return "ko"
    if _CJK.search(text):
        return "ja"
    words = [word for word in ATOM.findall(text.casefold()) if word.isalpha()]
    latin = [language for language in LANGUAGES if language not in ("ko", "ja")]
    return max(
        latin, key=lambda each: sum((folded(word) in own_words(each)) + (word in exact_words(each)) for word in words)
    )


def _without_links(text: str, links: list[tuple[str, str]], domains: list[str]) -> str:
    """The text without links and domains, which are added to the lists."""

    def link(found: re.Match[str]) -> str:
        scheme, host, path = found.groups()
        link_id = re.split(r"[?#]", path, maxsplit=1)[0].rstrip(_END + "/")
        if link_id[:1].isascii() and (glued := _CJK.search(link_id)):
            link_id = link_id[: glued.start()]
        rest = path[len(link_id) :] if path.startswith(link_id) else ""
        if not link_id:
            return found[0]
        links.append((f"{scheme or 'https'}://{host.lower()}", unquote(link_id)))
        return f" {rest if _CJK.match(rest) else ''} "

    def domain(found: re.Match[str]) -> str:
        domains.append(found[0].lower() if "://" in found[0] else f"https://{found[0].lower()}")
        return " "

    return _DOMAIN.sub(domain, _LINK.sub(link, text))


def _tokens(text: str, words: Lexicon) -> list[Token]:
    plain, places = _folded_with_places(text)
    quotes = {found.start(): found for found in _QUOTED.finditer(text)}
    tokens: list[Token] = []
    atoms = list(ATOM.finditer(plain))
    index = 0
    while index < len(atoms):
        start = places[atoms[index].start()]
        if start in quotes and folded(content := next(filter(None, quotes[start].groups()))) not in words.words:
            end = quotes[start].end()
            tokens.append(Token(content, start, end, quoted=content))
            while index < len(atoms) and places[atoms[index].start()] < end:
                index += 1
            continue
        length, meanings, known = _phrase([atom[0] for atom in atoms[index : index + 12]], words)
        last = atoms[index + length - 1]
        end = places[last.end() - 1] + 1
        digits = atoms[index][0]
        number = int(digits) if length == 1 and digits.isdigit() and len(digits) <= 19 else None
        tokens.append(Token(text[start:end], start, end, meanings, number, known=known))
        index += length
    return tokens


def _phrase(atoms: list[str], words: Lexicon) -> tuple[int, frozenset[str], str | None]:
    """How many atoms the longest known phrase has, at least one, its meanings, and the word if it is a single one."""
    node = words.root
    best: tuple[int, frozenset[str], str | None] = 1, frozenset(), None
    for length, atom in enumerate(atoms, 1):
        word = atom if atom in node.next else words.corrected(atom)
        if word not in node.next:
            if atom in "-_" and length > 1:
                continue
            break
        node = node.next[word]
        if node.meanings:
            best = length, node.meanings, word if length == 1 else None
    return best


def _folded_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the place in the text."""
    parts, places = [], []
    for place, char in enumerate(text):
        part = folded(char)
        parts.append(part)
        places += [place] * len(part)
    return "".join(parts), places
