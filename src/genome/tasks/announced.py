r"""Finds the texts by which a response announces its answer, for choices, labels and short texts.

Models announce in many forms: `Answer: B`, "the best choice is B", a heading with the answer below it, `\boxed{B}`,
`#### B`, `{"answer": "B"}`, `<answer>B</answer>`, "B is correct", "Wait, it is C". All of them are found, in the order
of the response: what a text means depends on the options, so `genome.tasks.choosing` reads them, the last one first.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from genome.tasks.extraction import boxed

_ANSWER = (
    "answers?|ans|Antwort|respuesta|réponse|resposta|risposta|antwoord|ответ|jibu|উত্তর|คำตอบ|సమాధానం|答案|答え|정답|답|"
    "الإجابة|उत्तर"
)
_CHOSEN = "option|choice|letter"
_CLASS = "label|emotion|sentiment|feeling|mood|category|class|stance|topic|intent"
_RESULT = "correct|final|conclusion|result|solution|verdict|decision|prediction|response|output"
# Searched in small letters, and without conditions at its start: that is several times faster.
_NOUNS = f"(?P<answer>{_ANSWER.lower()})|(?P<chosen>{_CHOSEN})|(?P<of_class>{_CLASS})|(?P<result>{_RESULT})"
_NOUN = re.compile(_NOUNS)
_ASCII_NOUN = re.compile(re.sub(r"\|?[^|<>()?]*[^\x00-\x7f][^|<>()?]*", "", _NOUNS))
_GLUED = ("答案", "答え")
# Words between the noun and the answer: "to this question", "(arabic numerals)", "choice", "that I choose".
_BETWEEN = (
    r"(?P<between>[ \t*_]*(?:\([^()\n]{0,40}\)[ \t]*)?(?:(?:to|of|for|in|from|on|at|by|with|behind|among|here|"
    r"that|which|expressed|conveyed|shown|given|we|i|choice|option|letter|label|must|should|would|will|could|might|may|has|can|"
    r"therefore|thus|then|clearly|probably)\b[^\n.:：=!?]{0,80}?)?[ \t*_]*)"
)
_SAYS = r"(?:[:：=]|[-=]+>|→|\b(?:is|was|be|are|es|est|ist|это|é|è)\b(?![’']t)(?:[ \t]*[:：])?|是[:：]?|为[:：]?|は)"
_TAIL = re.compile(_BETWEEN + _SAYS + r"[ \t*_]*(?P<text>[^\n]*)", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|never|cannot)\b|n?[’']t\b", re.IGNORECASE)
_HEADING = re.compile(r"[ \t*_#]*(?=\n)")
# The line before the noun, of a heading or of "Final answer:".
_START = re.compile(
    r"[\s>#*_|\-\d.)✅]*(?:(?:so|thus|therefore|hence|the|my|your|our|final|correct|right|best|overall|short|"
    r"predicted|chosen|selected|dominant|main|detected)[\s,*_]+)*",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"(?:incorrect|wrong|not|no|n[’']t(?: the)?|worst|other|another|previous|initial|first|earlier|former|"
    r"possible|not the|not a|not my|common|tempting|each|every|any|either|alternative)[\s*_]+$",
    re.IGNORECASE,
)
# "option" and "emotion" need such a word before them: reasoning speaks of options, too.
_QUALIFIED = re.compile(
    r"(?:correct|right|best|final|likely|appropriate|suitable|proper|fitting|my|chosen|selected|predicted|"
    r"accurate|valid|true|only|closest|good|better)[\s*_]+(?:answer[\s*_]+)?$",
    re.IGNORECASE,
)
_DETERMINED = re.compile(r"(?:\b(?:the|this|my|her|his|their|overall)|['’]s)(?:[\s*_]+\w+){0,2}[\s*_]+$", re.IGNORECASE)
_KEY = re.compile(
    r"""["'](?:\w*_)?(?:final[ _]?|correct[ _]?|predicted[ _]?)?"""
    r"""(?:answer|choice|option|letter|label|emotion|sentiment|category|class|prediction|result)["']\s*:\s*""",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"<(\w*answer|choice|option|label|emotion|sentiment|category)>\s*([^<]*?)\s*(?:</\1>|\Z)", re.IGNORECASE
)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S[^\n]*)", re.MULTILINE)
_BOX = re.compile(r"\\f?box(?:ed)?\{")
# Weaker forms, which reasoning uses, too.
_CORRECT = re.compile(
    r"\s(?:is|must be|would be|should be|seems|appears)\s+(?:\w+ly\s+)?(?:to be\s+)?(?:the\s+)?(?:only\s+)?(?:most\s+)?"
    r"(?:correct|right|best|likely|appropriate|answer)\b(?:\s+(?:answer|option|choice|one))?"
    r"\s*(?=[.!;,\n]|because|since|\Z)",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"[^\n.;!?]{1,120}\Z")
_SECOND_THOUGHT = re.compile(
    r"\b(?:wait|actually|correction|on second thought|scratch that|sorry|i mean|i meant|hmm|oops)\b[\s,:.…—–-]*"
    r"(?P<text>[^\n]{1,160})",
    re.IGNORECASE,
)
_MUST = re.compile(
    r"\b(?:(?:it|this|that)\s+(?:must|has\s+to|can\s+only)\s+be|(?:i|we)(?:['’]d|['’]ll|\s+would|\s+will)?\s+"
    r"(?:choose|pick|select|go\s+(?:with|for)|opt\s+for|vote\s+for))\b\s*:?\s*(?P<text>[^\n]{1,160})",
    re.IGNORECASE,
)
# Each with words of which a response with that form contains one.
_WEAK = (
    (_SECOND_THOUGHT, ("wait", "actually", "correction", "thought", "scratch", "sorry", "i mean", "hmm", "oops")),
    (
        _MUST,
        ("must be", "has to be", "only be", "choose", "pick", "select", "go with", "go for", "opt for", "vote for"),
    ),
)
_SHORT = 200  # characters of a response that is only an answer
_CONCLUDES = re.compile(
    r"(?:so|thus|therefore|hence|in conclusion|in summary|overall|consequently|accordingly)\b", re.IGNORECASE
)
# A base model may go on with another question after its answer.
_NEXT = re.compile(
    r"\n[ \t#*_]*(?:question|q|problem|human|user|passage|conversation)[ \t]*\d*[ \t*_]*[:：]", re.IGNORECASE
)
# A line of emphasis or the beginning of displayed mathematics has no answer.
_CONTENT = re.compile(r"(?!\s*(?:[*_`$=~#\s-]|\\\[|\\\()*$)\s*\S")
_ITEM = re.compile(r"[ \t]*(?:\d+[.)]|[-*•])[ \t]+(\S[^\n]*)")


class Statement(NamedTuple):
    """A text that a response announces; only if it is `sure` may the answer be a part of it."""

    text: str
    sure: bool


def announced(response: str) -> list[Statement]:
    """Return the texts that `response` announces as its answer, in its order; none of them is blank.

    >>> [text for text, _ in announced("The answer is not clear.\\n**Answer**: (B) scale\\nSo B is correct.")]
    ['not clear.', '(B) scale', 'So B']
    """
    for following in _NEXT.finditer(response):
        found = _announced(response[: following.start()])
        if found:
            return found
    return _announced(response)


def concluded(response: str, *, sure: bool, alone: bool) -> list[Statement]:
    """Return the last sentence if it says that it is a conclusion; if `alone`, also a response of one line or sentence.

    >>> concluded("He laughs. So it is joy.", sure=True, alone=False), concluded("Joy.", sure=True, alone=True)
    ([Statement(text='So it is joy', sure=True)], [Statement(text='Joy', sure=True)])
    """
    lines = [line for line in response.split("\n") if _CONTENT.search(line)]
    if not lines:
        return []
    sentences = re.split(r"(?<=[.!?])\s+", lines[-1].strip())
    last = sentences[-1].strip(" *_`.!")
    only = len(lines) == len(sentences) == 1
    short = alone and not only and len(lines) == 1 and len(lines[0]) <= _SHORT
    said = [Statement(lines[0].strip(" *_`.!"), False)] if short else []
    return [*said, *([Statement(last, sure)] if (only and alone) or _CONCLUDES.match(last) else [])]


def _announced(response: str) -> list[Statement]:
    places = sorted(_places(response), key=lambda place: place[0])
    found = [Statement(_trimmed(text), sure) for _, text, sure in places]
    return [statement for statement in found if statement.text]


def _places(response: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the position and the text of each announcement, and whether it is sure."""
    yield from ((position, text, True) for position, text in _by_noun(response))
    yield from ((position, text, True) for position, text in _by_mark(response))
    for match in _CORRECT.finditer(response):
        subject = _SUBJECT.search(response, max(0, match.start() - 120), match.start())
        if subject:
            # "Based on this, B is correct."
            yield subject.start(), subject[0].rpartition(", ")[2], False
    lowered = response.lower()
    for pattern, hints in _WEAK:
        if any(hint in lowered for hint in hints):
            yield from ((match.start("text"), match["text"], False) for match in pattern.finditer(response))


def _by_mark(response: str) -> Iterator[tuple[int, str]]:
    if "box" in response:
        yield from ((match.start(), _content(response, match.start())) for match in _BOX.finditer(response))
    if "####" in response:
        yield from ((match.start(), match[1]) for match in _HASHES.finditer(response))
    if "{" in response:
        yield from ((match.start(), _value(response, match.end())) for match in _KEY.finditer(response))
    if "<" in response:
        yield from ((match.start(), match[2]) for match in _TAG.finditer(response))


def _by_noun(response: str) -> Iterator[tuple[int, str]]:
    # Letters that become two in small letters are kept, so that places are the same.
    lowered = response.lower()
    if len(lowered) != len(response):
        lowered = "".join(low if len(low := character.lower()) == 1 else character for character in response)
    for noun in (_ASCII_NOUN if lowered.isascii() else _NOUN).finditer(lowered):
        glued = noun[0] in _GLUED
        if not glued and (
            lowered[noun.start() - 1 : noun.start()].isalnum() or lowered[noun.end() : noun.end() + 1].isalnum()
        ):
            continue
        begin = response.rfind("\n", 0, noun.start()) + 1
        before = response[max(begin, noun.start() - 120) : noun.start()]
        if _NEGATIVE.search(before):
            continue
        first = begin >= noun.start() - 120 and _START.fullmatch(before)
        tail = _HEADING.match(response, noun.end()) if first else None
        if tail and not noun["result"]:
            yield noun.start(), _below(response, tail.end())
            continue
        tail = _TAIL.match(response, noun.end())
        if tail and not _NOT.search(tail["between"]) and (noun["answer"] or first or _expected(noun, before)):
            yield noun.start(), tail["text"] if _CONTENT.search(tail["text"]) else _below(response, tail.end())


def _expected(noun: re.Match[str], before: str) -> bool:
    if noun["result"]:
        return False
    return bool(_QUALIFIED.search(before) or (noun["of_class"] and _DETERMINED.search(before)))


def _below(response: str, position: int) -> str:
    """Return the next line with text, or the items of a list that begins there, separated by commas."""
    lines = [line for line in response[position : position + 4000].split("\n") if _CONTENT.search(line)]
    if lines and re.fullmatch(r"[ \t]*```\w*", lines[0]):
        lines = lines[1:]
    items = []
    for line in lines:
        item = _ITEM.match(line)
        if item is None:
            break
        items.append(item[1])
    return ", ".join(items) if len(items) > 1 else (lines[0] if lines else "")


def _content(response: str, position: int) -> str:
    r"""Return what the \boxed at `position` contains; if that is closing brackets (`\boxed{} ] )}`), its line's."""
    line = response[position:].partition("\n")[0]
    begin = line.index("{") + 1
    if line[begin : begin + 1] == "}":
        return line[begin:].rpartition("}")[0]
    end = response.find("\\boxed", position + 2)
    return boxed(response[position : end if end > 0 else None]) or ""


def _value(response: str, position: int) -> str:
    """Return the JSON value at `position` as text: a list's items separated by commas."""
    try:
        value, _ = json.JSONDecoder().raw_decode(response, position)
    except ValueError:
        bare = re.match(r"'([^'\n]*)'|([^\s,}\]]+)", response[position:])
        return (bare[1] or bare[2] or "") if bare else ""
    if isinstance(value, dict):
        value = list(value.values())[:1]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _trimmed(text: str) -> str:
    return text.strip().strip("*_`").strip()
