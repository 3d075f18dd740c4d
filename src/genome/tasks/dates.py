"""Dates in English texts, in any usual form: 12/25/1937, December 25, 1937, 25 Dec. 1937, 1937-12-25."""

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"({'|'.join(_MONTHS)})[a-z]*\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_FORMS = (
    (re.compile(r"(?<!\d)(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?!\d)"), (2, 0, 1)),
    (re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)"), (0, 1, 2)),
    (re.compile(rf"\b{_MONTH}\s+{_DAY},?\s+(\d{{4}})(?!\d)", re.IGNORECASE), (2, 0, 1)),
    (re.compile(rf"(?<!\d){_DAY}\s+(?:of\s+)?{_MONTH},?\s+(\d{{4}})(?!\d)", re.IGNORECASE), (2, 1, 0)),
)


_YEAR = re.compile(r"\d{4}|/\d\d(?!\d)")
Date = tuple[int, int, int]


def find_dates(text: str) -> list[Date]:
    """Return the dates in `text` as (year, month, day): the month is first in 12/25/1937, and 12/25/37 has year 37.

    >>> find_dates("12/25/1937"), find_dates("on December 25, 1937"), find_dates("25 May")
    ([(1937, 12, 25)], [(1937, 12, 25)], [])
    """
    if not _YEAR.search(text):
        return []
    found = []
    for pattern, places in _FORMS:
        for match in pattern.finditer(text):
            year, month, day = (match[place + 1] for place in places)
            number = int(month) if month.isdigit() else _MONTHS.index(month[:3].casefold()) + 1
            found.append((int(year), number, int(day)))
    return found


def same_date(one: Date, other: Date) -> bool:
    """Return whether two dates may be the same day: a year of two digits has no century."""
    years = (one[0], other[0])
    return one[1:] == other[1:] and (years[0] == years[1] or (min(years) < 100 and years[0] % 100 == years[1] % 100))
