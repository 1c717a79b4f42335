"""What a sentence names by number or by name: publishers, groups, links, pages, how many rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from api.integration.calendar_units import YEARS
from api.integration.sentence import Sentence, Token, number_word
from ingest.event import MAX_ID, MAX_LINK_ID, normal_domain

ENTITIES = ("publisher", "advertiser", "network", "account", "group")
_BETWEEN = frozenset("#:=._№nº°-")  # from `publisher #1338` to `publisher_id=1338`
_UNITS = ("hour", "day", "week", "month", "year")
_RANKED = ("top", "gain", "loss")
_COUNTED = ("link", *ENTITIES, "counter", *_RANKED, "stop", "in", "click", "unknown")


@dataclass(slots=True)
class Identifiers:
    ids: dict[str, list[int]] = field(default_factory=dict)  # by entity
    link: tuple[str, str] | None = None  # domain, link id
    name: str | None = None  # part of a group's name
    top: int | None = None
    page: int | None = None
    per_page: int | None = None
    unclear: list[str] = field(default_factory=list)


def read_identifiers(sentence: Sentence) -> Identifiers:
    """Marks the numbers and names that it reads as used, so that no date is read from them."""
    found = Identifiers()
    _read_link(sentence, found)
    _read_name(sentence, found)
    for index, token in enumerate(sentence.tokens):
        entity = next((entity for entity in ENTITIES if token.means(entity)), None)
        if entity and not token.used:
            found.ids.setdefault(entity, []).extend(_ids_of(sentence.tokens, index, found))
    found.ids = {entity: ids for entity, ids in found.ids.items() if ids}
    tokens = sentence.tokens
    found.per_page = _number_beside(tokens, "per_page") or _number_beside(tokens, "per_page", over=("counter",))
    found.page = _number_beside(tokens, "page", over=("ordinal",))
    if sentence.has(*_RANKED):
        found.top = (
            _number_beside(tokens, "top")
            or _number_beside(tokens, "counter", "link", *ENTITIES, steps=(-1,))
            or _number_beside(tokens, *_RANKED, over=_COUNTED, steps=(-1,))
        )
    return found


def _ids_of(tokens: list[Token], index: int, found: Identifiers) -> list[int]:
    """The numbers behind a word such as publisher, else the one before it, as in `12번 그룹`."""
    ids: list[int] = []
    place = index + 1
    while place < len(tokens):
        token = tokens[place]
        if token.number is not None and not token.used and _ends_id(tokens, place):
            if tokens[index].means("account") and token.number in YEARS:
                break  # `our account 2025`
            token.used = True
            if 1 <= token.number <= MAX_ID:
                ids.append(token.number)
            else:
                found.unclear.append(f"{token.text} is no id: ids are from 1 to {MAX_ID}.")
        elif not (_separates(token) if ids else _separates(token) or _introduces(token)):
            break
        place += 1
    return ids or _id_before(tokens, index)


def _separates(token: Token) -> bool:
    return token.means("and") or token.text in (",", "、", "・", "&", "/")


def _introduces(token: Token) -> bool:
    return token.text.lower() in _BETWEEN or token.means("stop", "nth")


def _ends_id(tokens: list[Token], place: int) -> bool:
    """Whether the number stands for itself and does not begin a date or a number of days."""
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    return after is None or not after.means(*_UNITS, "counter")


def _id_before(tokens: list[Token], index: int) -> list[int]:
    place = index - 1
    while place > 0 and tokens[place].means("nth", "in") and index - place < 3:
        place -= 1
    if place < 0 or tokens[place].used or tokens[place].number is None:
        return []
    numbered = place > 0 and (tokens[place - 1].text in ("#", "№") or tokens[place - 1].text.lower() in ("nr", "no"))
    if not (tokens[place + 1].means("nth") or numbered):
        return []
    tokens[place].used = True
    number = tokens[place].number
    return [number] if number is not None and 1 <= number <= MAX_ID else []


def _number_beside(
    tokens: list[Token], *meanings: str, over: tuple[str, ...] = (), steps: tuple[int, ...] = (1, -1)
) -> int | None:
    """The number next to a word, behind or before it; up to two tokens of other meanings may stand between."""
    for index, token in enumerate(tokens):
        for step in steps if token.means(*meanings) else ():
            for place in range(index + step, index + 4 * step, step):
                if not 0 <= place < len(tokens):
                    break
                if (number := _count(tokens, place)) is not None:
                    tokens[place].used = True
                    return number
                beside = tokens[place]
                unknown = "unknown" in over and not beside.meanings and beside.text.isalpha()
                if not (unknown or beside.means(*over) or beside.text in (":", "=")):
                    break
    return None


def _count(tokens: list[Token], place: int) -> int | None:
    """The number at a place, unless it belongs to a date."""
    token = tokens[place]
    number = token.number if token.number is not None else number_word(token)
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    dated = number in YEARS or (after is not None and after.means(*_UNITS, "month_name"))
    return None if token.used or dated else number


def _read_link(sentence: Sentence, found: Identifiers) -> None:
    """A URL, or a link id beside a domain: `link hello on vvd.bz`."""
    links = list(sentence.links)
    if not links and (named := _behind(sentence.tokens, "link") or _before_link(sentence)):
        if sentence.domains:
            links.append((sentence.domains[0], named.quoted or _whole_word(sentence, named)))
            named.used = True
        elif named.quoted:
            named.used = True
            found.unclear.append(f"A link is named with its domain, as in vvd.bz/{named.quoted[:60]}.")
    elif not links and sentence.domains:
        found.unclear.append("A domain alone names no link: write it as vvd.bz/hello.")
    if len(links) > 1:
        found.unclear.append("A call takes one link; the first is filled in.")
    for domain, link_id in links[:1]:
        if normal_domain(domain) is None or len(link_id) > MAX_LINK_ID:
            found.unclear.append("This is no link that can exist.")
        else:
            found.link = (domain, link_id)


def _whole_word(sentence: Sentence, token: Token) -> str:
    """The word that a token is a part of: `promo_24`."""
    start = end = sentence.tokens.index(token)
    while start > 0 and sentence.tokens[start - 1].end == sentence.tokens[start].start:
        start -= 1
    while end + 1 < len(sentence.tokens) and sentence.tokens[end + 1].start == sentence.tokens[end].end:
        end += 1
    for part in sentence.tokens[start : end + 1]:
        part.used = True
    return sentence.text[sentence.tokens[start].start : sentence.tokens[end].end].strip(".,;:!?=()'")


def _before_link(sentence: Sentence) -> Token | None:
    """`promo` in `the promo link on vvd.bz`."""
    for before, token in pairwise(sentence.tokens if sentence.domains else ()):
        if token.means("link") and not before.meanings and before.number is None and before.text.isalnum():
            return before
    return None


def _behind(tokens: list[Token], meaning: str) -> Token | None:
    """The unknown or quoted word behind one with this meaning."""
    for index, token in enumerate(tokens):
        if token.means(meaning):
            for later in tokens[index + 1 : index + 5]:
                unknown = not later.meanings or later.means("greeting")
                if later.quoted or (unknown and later.number is None and later.text.isalnum()):
                    return later
                if not (later.means("stop", "in", "named") or later.text in (":", "=", "_")):
                    break
    return None


def _read_name(sentence: Sentence, found: Identifiers) -> None:
    if not sentence.has("group"):
        return
    quoted = next((token for token in sentence.tokens if token.quoted and not token.used), None)
    named = quoted or _behind(sentence.tokens, "named")
    if named:
        found.name, named.used = named.quoted or named.text, True
