"""Which of the given options, or labels, a text names.

A text may name an option by its letter, in any usual form ("B", "(b)", "B.", "Option B: scale", "the second option"),
or by its text, with or without an article, in quotes or within a short sentence. A text that names two options, or a
letter together with the text of another option, names neither; nor does one that denies ("not B", "B is wrong").
Anything else names nothing: there is no default.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from genome.tasks.announced import Statement
from genome.tasks.dates import find_dates, same_date
from genome.tasks.option_names import NameTable, name_table, whole_name
from genome.tasks.options import folded, key, plain
from genome.tasks.wordforms import loose, words

Names = Mapping[str, Sequence[str]]

# Words before the name of an option.
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|well|okay|ok|clearly|definitely|certainly|surely|obviously|ultimately|finally|overall|"
    r"indeed|actually|again|wait|then|and|(?:most\s+|very\s+)?(?:likely|probably)|perhaps|maybe)\b[,:]?\s+(?:to\s+be\s+)?"
    r"|(?:only|just|simply|either\s+way)\b[,:]?\s+"
    r"|i(?:['’]m|\s+am)\s+(?:\w+\s+)?(?:sure|certain|confident)\b(?:\s+that)?[:,]?\s+"
    r"|i(?:['’]d|['’]ll|\s+would|\s+will|\s+must|\s+am)?\s+(?:think|believe|choose|chose|pick|picked|select|selected|say|guess|go|"
    r"opt|going)\b(?:\s+(?:that|with|for))?[:,]?\s+"
    r"|(?:it|this|that)(?:['’]s|\s+(?:is|was|must\s+be|should\s+be|would\s+be|has\s+to\s+be|can\s+only\s+be))\s+(?:to\s+be\s+)?"
    r"|(?:in|under|of|with)\s+(?=(?:option|choice)\b)"
    r"|(?:the\s+)?(?:(?:one|single|most|correct|right|best|final|likely|appropriate|suitable)\s+)*"
    r"(?:option|choice|answer|letter|label|emotion|sentiment|category|class)\b\s*(?:(?:is|was|must\s+be|would\s+be|"
    r"should\s+be)\b)?\s*[:=#]*\s*"
    r"|(?:[=#>•→:,]+|[-–—](?=\s))\s*)",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"[(\[{<«]{0,2}\s*([^\W_]{1,2})\s*[)\]}>»]{0,2}(?:$|(\s*[.:,;!?)\-–—=/&+(\[|]\s*|\s+)(.*))",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(r"(?:option|choice|number|answer)\s*(?:number\s*|no\.?\s*)?[(#]?(\d{1,2})\)?", re.IGNORECASE)
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_ORDINAL = re.compile(
    rf"(?:the\s+)?({'|'.join(_ORDINALS)}|last|\d{{1,2}}(?:st|nd|rd|th))\s+(?:option|choice|answer|one)", re.IGNORECASE
)
_REASON = re.compile(
    r"(?:because|since|as|due|given|for|based|i\s+(?:think|believe|guess|am)|rather\s+than|instead\s+of|unlike)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:(?:is|are|was|were|seems|can|could|would|should|does|do|has)\s*(?:definitely\s+|clearly\s+|also\s+)?"
    r"(?:not|n[’']t|wrong|incorrect|false|excluded|eliminated|ruled)|(?:is|ca|could|would|wo|does)n[’']t|cannot|never|(?:can|could|may)\s+be\s+"
    r"(?:ruled|eliminated|excluded|wrong))\b",
    re.IGNORECASE,
)
_AFFIRMED = re.compile(
    r"(?:is|was|must\s+be|would\s+be|should\s+be|seems|appears|fits|makes|matches)\s+(?:\w+ly\s+)?(?:to\s+be\s+)?(?:the\s+|my\s+|most\s+|"
    r"only\s+)*(?:correct|right|best|answer|choice|option|likely|appropriate|true|sense|one|final)\b",
    re.IGNORECASE,
)
_LINKED = re.compile(
    r"\s*(?:[,/&+|–—-]|and\b|or\b|to\b|through\b|nor\b)\s*(?:also|maybe|perhaps|possibly|probably|even|both|option|choice)?\s*",
    re.I,
)
_AFTER_A = re.compile(rf"(?:{_LINKED.pattern}|{_DENIED.pattern}|{_AFFIRMED.pattern}|{_REASON.pattern})", re.IGNORECASE)
_NOT = re.compile(
    r"(?:not|neither|none\s+but|all\s+(?:except|but)|anything\s+but|everything\s+(?:but|except)|except|never)\b", re.I
)
_NEGATIONS = frozenset(
    (
        "not", "no", "never", "neither", "nor", "none", "cannot", "can't", "isn't", "aren't", "wasn't", "doesn't",
        "don't", "won't", "without", "except", "excluding", "wrong", "incorrect", "false", "unlike", "rather",
        "instead", "than", "non", "hardly", "unlikely",
    )
)  # fmt: skip
_HEAD_ENDS = re.compile(
    r"\s+[(–—-](?=[\s\w])|[;:]|,?\s+(?:because|since|as|due|given|so)\b|,\s+(?:which|where|who|for|with|while|and\s+not|not)\b|\.\s|\n",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(
    r"\b(?:but|or|and|no|sorry|also|maybe|perhaps|possibly|although|though|wait|actually)\b(?P<between>[^.;\n]{0,40}?)"
    r"(?:[(\[](?P<bracketed>[^\W_]{1,2})[)\]]|\b(?P<bare>[B-HJ-Z])\b(?!['’]))"
)
# "A, fur; B, scale": a list.
_NEXT_ITEM = re.compile(r";\s*(?:and\s+|or\s+)?[(\[]?(?P<bare>[^\W_]{1,2})\s*(?:[)\],:.–-]|$)")
_NOT_BETWEEN = re.compile(r"\b(?:not|never|neither|nor)\b|n['’]t\b", re.IGNORECASE)
_MARKED = re.compile(
    r"[(\[](?P<bracketed>[^\W_]{1,2})[)\]]|\b(?:option|choice|letter)\s+(?P<named>[^\W_]{1,2})\b", re.IGNORECASE
)
# More than the option is named ("a dog and a cat"), or nothing for sure.
_OPEN = re.compile(r"\0 (?:and|or|nor|&) (?!\0)|(?<!\0) (?:and|or|nor|&) \0|\b(?:may|might|could) be\b|\?")
_LONGEST_AROUND = 12  # words in addition to an option's text


def choose(text: str, options: Mapping[str, str], other: Names | None = None) -> str | None:
    """Return the letter of the one option that `text` names, or None.

    `other` has further names of options, by letter.

    >>> choose("(b) scale.", {"A": "fur", "B": "scale"}), choose("Fur", {"A": "fur", "B": "scale"})
    ('B', 'A')
    >>> choose("A. scale", {"A": "fur", "B": "scale"}) is None
    True
    """
    letters = named(text, options, other)
    return letters[0] if len(letters) == 1 else None


def settle(
    statements: Iterable[Statement], options: Mapping[str, str], other: Names | None = None, *, alike: bool = False
) -> str | None:
    """Return what the last statement that names any option names; None if it names several, or if none does.

    If options of the same text are `alike`, naming several of them is naming the first.
    """
    for statement in reversed(list(statements)):
        letters = named(statement.text, options, other, within=statement.sure)
        if letters:
            one = len(letters) == 1 or (alike and len({options[letter] for letter in letters}) == 1)
            return letters[0] if one else None
    return None


def named(text: str, options: Mapping[str, str], other: Names | None = None, *, within: bool = True) -> tuple[str, ...]:
    """Return the letters of the options that `text` names; several if it does not say which of them it means.

    The option's text may be a part of a sentence if it is `within` one; otherwise `text` is the option's, or a letter.
    """
    names = tuple((letter, tuple(each)) for letter, each in other.items()) if other else ()
    return _named(text, tuple(options.items()), names, within)


@lru_cache(maxsize=16384)  # candidates of one population give mostly the same answers
def _named(
    text: str, options: tuple[tuple[str, str], ...], other: tuple[tuple[str, tuple[str, ...]], ...], within: bool
) -> tuple[str, ...]:
    table = name_table(options, other)
    # Remove the rest of an unclosed \text{, and quotes.
    whole = plain(text).lstrip("} ").strip("'‘’")
    # Compare the whole text first: options may begin with letters ("(i) and (ii)") or with words of certainty.
    found = table.exact.get(key(whole)) or table.folded.get(folded(whole))
    if found and len(key(whole)) > 3:
        return (found,)
    places = _by_place(whole, table)
    if places:
        return places
    whole = _without_lead(whole)
    if _NOT.match(whole) and not whole_name(whole, table):
        return ()
    # "The answer is (B). Because …" and "Answer: joy. He laughs." continue after the answer.
    for part in dict.fromkeys((whole, re.split(r"\.\s", whole)[0])):
        by_letter = _by_letter(part, table, within)
        if by_letter is not None:
            return by_letter
        found = whole_name(part, table)
        if found:
            return (found,)
    return _by_text(whole, table) if within else ()


def _without_lead(text: str) -> str:
    while True:
        lead = _LEAD.match(text)
        if lead is None or lead.end() == len(text) or not lead.end():
            return text
        text = text[lead.end() :]


def _by_place(text: str, table: NameTable) -> tuple[str, ...]:
    """Return the option that is named by its place: "the second option", "option 2"."""
    text = _without_marks(text)
    ordinal, numbered = _ORDINAL.fullmatch(text), _NUMBERED.fullmatch(text)
    if ordinal:
        word = ordinal[1].casefold()
        place = (
            len(table.order) if word == "last" else _ORDINALS.index(word) + 1 if word in _ORDINALS else int(word[:-2])
        )
    elif numbered and numbered[1] not in table.letters:
        place = int(numbered[1])
    else:
        return ()
    return (table.order[place - 1],) if 1 <= place <= len(table.order) else ()


def _without_marks(text: str) -> str:
    return text.strip(" .,;:!'\"()")


def _by_letter(text: str, table: NameTable, within: bool) -> tuple[str, ...] | None:
    """Return the options named by a text that begins with a letter; None if it does not, or may be a word instead.

    Only `within` a sentence anything may follow: "B, the others are wrong".
    """
    match = _LETTER.fullmatch(text)
    if match is None:
        return None
    mark, rest = (match[2] or "").strip(), match[3] or ""
    letter = table.letters.get(match[1].casefold())
    bracketed = text[: match.start(2)].rstrip()[-1:] in ")]}>»" if match[2] else False
    if letter is None:
        return _by_number(match[1], mark or bracketed, rest, table)
    if not rest.strip(" .,;:!?)'\"]}>*"):
        return (letter,)
    own, after = table.texts[letter], loose(rest)
    whole = loose(text)
    # The text may begin with a character that separates letter and text: "(A) -5".
    if after == own or (own and whole.endswith(f" {own}")):
        return (letter,)
    if _begins(rest, own):
        return _unless_otherwise(letter, rest, table)
    # "A surprise": an article.
    if match[1] in "Aa" and not (mark or bracketed) and not _AFTER_A.match(rest):
        return None
    another = _text_at_start(rest, table)
    if another and another != letter:
        return (letter, another)
    second = _linked(f"{mark} {rest}" if mark else rest, table, bare=bool(mark))
    if second:
        return (letter,) if second == letter else (letter, second)
    if _DENIED.match(rest):
        return ()
    if _AFFIRMED.match(rest) or _REASON.match(rest):
        return (letter,)
    only = table.letters.get(_without_marks(rest).casefold())
    if only and mark:
        return (letter,) if only == letter else (letter, only)
    # "A dog" is a text that begins with a letter; "B, because …" and "(C) because …" are letters.
    return _unless_otherwise(letter, rest, table) if (mark or bracketed) and (within or _NOT.match(rest)) else None


def _by_number(number: str, marked: object, rest: str, table: NameTable) -> tuple[str, ...] | None:
    """Return the option of "2. scale" where options have letters: the number alone could be anything."""
    if not (number.isdigit() and marked and 1 <= int(number) <= len(table.order)):
        return None
    letter = table.order[int(number) - 1]
    return (letter,) if table.texts[letter] and loose(rest) == table.texts[letter] else None


def _begins(rest: str, text: str) -> bool:
    """Return whether `rest` begins with `text` as a separate part."""
    head = loose(re.split(r"\s+[(–—-]|[;:,(]|\.\s|\s+(?:because|since|as)\b", rest.lstrip("( "))[0])
    return bool(text) and head == text


def _text_at_start(rest: str, table: NameTable) -> str | None:
    """Return the option whose whole text is the first part of `rest`."""
    heads = [rest, *re.split(r"\s+[(–—-]|[;:,()]|\.\s|\s+(?:because|since)\b", rest.lstrip("( "))[:1]]
    return next((found for head in heads if (found := whole_name(head, table))), None)


def _linked(rest: str, table: NameTable, bare: bool) -> str | None:
    """Return the letter that "and", "or", a comma or a stroke adds to a first one."""
    link = _LINKED.match(rest)
    if link is None:
        return None
    match = re.match(r"([(\[])?([^\W_]{1,2})\b([)\]])?(?P<next>\s*[^\W_]*)", rest[link.end() :])
    letter = table.letters.get(match[2].casefold()) if match else None
    if match is None or letter is None:
        return None
    # "B, a scale" and "B, I think" contain words, not letters.
    if not match[1] and match[2].casefold() in ("a", "i") and match["next"].strip() not in ("", "and", "or"):
        return None
    if not match[1] and len(match[2]) > 1 and match["next"].strip():
        return None
    word = match["next"].strip()
    lowercase = match[2].islower() and len(match[2]) == 1 and word not in ("", "and", "or")
    return None if lowercase else letter


def _unless_otherwise(letter: str, rest: str, table: NameTable) -> tuple[str, ...]:
    """Return the letter, and a second one that the text goes on to: "B, but it could be C"."""
    if _REASON.match(rest.lstrip(" ,")):
        return (letter,)
    sentence = re.split(r"\.\s|\n", rest)[0]
    listed = _NEXT_ITEM.search(sentence)
    item = table.letters.get(listed["bare"].casefold()) if listed else None
    if item and item != letter:
        return (letter, item)
    for match in _OTHERWISE.finditer(sentence):
        second = table.letters.get((match["bracketed"] or match["bare"]).casefold())
        if second and second != letter and not _NOT_BETWEEN.search(match["between"]):
            return (letter, second)
    return (letter,)


def _by_text(text: str, table: NameTable) -> tuple[str, ...]:
    head = _HEAD_ENDS.split(text)[0]
    for part in dict.fromkeys((head, text)):
        found = _contained(part, table)
        if found:
            break
    else:
        return ()
    marked = {
        letter
        for match in _MARKED.finditer(text)
        if (letter := table.letters.get((match["bracketed"] or match["named"]).casefold()))
    }
    return tuple(dict.fromkeys((*found, *sorted(marked))))


def _contained(text: str, table: NameTable) -> tuple[str, ...]:
    whole = whole_name(text, table)
    if whole:
        return (whole,)
    if table.dates:
        dates = [letter for date, letter in table.dates for given in find_dates(text) if same_date(date, given)]
        if dates:
            return tuple(dict.fromkeys(dates))
    # The longest names first, each taken out when found: "dark red" is not "red".
    rest = f" {words(text)} "
    found: list[str] = []
    for name in sorted(table.contained, key=len, reverse=True):
        if f" {name} " in rest:
            rest = rest.replace(f" {name} ", " \0 ")
            found.extend(table.contained[name])
    around = rest.replace("\0", " ").split()
    if not found or len(around) > _LONGEST_AROUND or _NEGATIONS & set(around) or _OPEN.search(rest):
        return ()
    return tuple(dict.fromkeys(found))
