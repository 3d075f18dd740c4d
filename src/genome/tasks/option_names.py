"""The names of options by which a text may mean them: letters, texts in several forms, dates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from genome.tasks.dates import Date, find_dates
from genome.tasks.options import LETTERS, folded, key, plain
from genome.tasks.wordforms import loose, words


@dataclass(frozen=True)
class NameTable:
    """Options by letter, by exact, folded and loose text, and by date; a name of two options belongs to None."""

    letters: Mapping[str, str]
    exact: Mapping[str, str | None]
    folded: Mapping[str, str | None]
    loose: Mapping[str, str | None]
    contained: Mapping[str, tuple[str, ...]]
    dates: Sequence[tuple[Date, str]]
    texts: Mapping[str, str]
    order: Sequence[str]


@lru_cache(maxsize=4096)
def name_table(options: tuple[tuple[str, str], ...], other: tuple[tuple[str, tuple[str, ...]], ...]) -> NameTable:
    """Return the names of options, each a letter and a text, and their `other` names by letter."""
    exact: dict[str, str | None] = {}
    by_fold: dict[str, str | None] = {}
    by_loose: dict[str, str | None] = {}
    dates: list[tuple[Date, str]] = []
    contained: dict[str, tuple[str, ...]] = {}
    first: dict[str, str] = {}
    for letter, text in options:
        # Options of the same text are one, the first of them; they have different letters only.
        if key(plain(text)) and first.setdefault(key(plain(text)), letter) != letter:
            continue
        _add(exact, key(plain(text)), letter)
        _add(by_fold, folded(text), letter)
        _add(by_loose, loose(text), letter)
        found = find_dates(text)
        if len(found) == 1:
            dates.append((found[0], letter))
        _contain(contained, words(text), letter)
    for letter, names in other:
        for name in names:
            _add(by_loose, loose(name), letter)
            _contain(contained, words(name), letter)
    letters = {letter.casefold(): letter for letter, _ in options}
    # Where options are numbered, a letter can only mean the place: B is the second.
    if list(letters) == [str(number + 1) for number in range(len(options))]:
        letters |= {LETTERS[place].casefold(): letter for place, (letter, _) in enumerate(options)}
    texts = {letter: loose(text) for letter, text in options}
    return NameTable(letters, exact, by_fold, by_loose, contained, dates, texts, [letter for letter, _ in options])


def _add(names: dict, name: object, letter: str) -> None:
    # An option without text is named by its letter only; otherwise an empty answer would name it.
    if name:
        names[name] = None if names.get(name, letter) != letter else letter


def _contain(names: dict[str, tuple[str, ...]], name: str, letter: str) -> None:
    if len(name) > 2:
        names[name] = tuple(dict.fromkeys((*names.get(name, ()), letter)))


def whole_name(text: str, table: NameTable) -> str | None:
    """Return the option that the whole `text` names, or None."""
    for names, name in ((table.exact, key(text)), (table.folded, folded(text)), (table.loose, loose(text))):
        if names.get(name):
            return names[name]
    return None
