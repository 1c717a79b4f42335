"""What needs become: tables in `sentences/` with a language, a sentence, and the call, parameters and format expected.

A third of each table and language is held back: nobody looks at its failures to make the helper better, only at their
number. Each table was written before the helper was run on it; docs/integration.md has the first figures.
`python -m tests.unit.api.integration.test_sentences` prints the failures of the others.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

import pytest

from api.integration.lexicon import LANGUAGES
from api.integration.needs import understand

TODAY = date(2026, 3, 18)  # a Wednesday
MIN_RIGHT = 0.95


class Case(NamedTuple):
    language: str
    sentence: str
    call: str
    query: str
    format: str

    @property
    def expected(self) -> tuple[str | None, dict[str, str], str]:
        return self.call, dict(parse_qsl(self.query)), self.format


def understood(sentence: str) -> tuple[str | None, dict[str, str], str]:
    need = understand(sentence, TODAY)
    return (
        need.call.name if need.call else None,
        {name: str(value) for name, value in need.parameters.items()},
        need.format,
    )


def read_cases() -> Iterator[tuple[Case, bool]]:
    """Each case, and whether it is held back: in each table the third of each language with the smallest SHA-256."""
    for table in sorted((Path(__file__).parent / "sentences").glob("*.tsv")):
        with table.open(encoding="utf-8", newline="") as file:
            cases = [Case(*row) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
        for language in LANGUAGES:
            own = [case for case in cases if case.language == language]
            own.sort(key=lambda case: hashlib.sha256(case.sentence.encode()).digest())
            third = -(-len(own) // 3)
            yield from ((case, place < third) for place, case in enumerate(own))


CASES = list(read_cases())


@pytest.mark.parametrize("held_back", [True, False])
def test_nearly_all_sentences_are_understood(held_back: bool) -> None:
    cases = [case for case, held in CASES if held == held_back]
    right = sum(understood(case.sentence) == case.expected for case in cases)
    assert len(cases) >= 40
    assert right / len(cases) >= MIN_RIGHT, f"{right} of {len(cases)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_enough_sentences_of_each_language(language: str) -> None:
    assert len({case.sentence for case, _ in CASES if case.language == language}) >= 25


def main() -> None:
    for held_back in (True, False):
        cases = [case for case, held in CASES if held == held_back]
        wrong = [case for case in cases if understood(case.sentence) != case.expected]
        print(f"{'held back' if held_back else 'others'}: {len(cases) - len(wrong)} of {len(cases)} right")
        for case in wrong if not held_back else []:
            print(case.sentence, case.expected, understood(case.sentence), sep="\n    ")


if __name__ == "__main__":
    main()
