r"""Finds the answer in a response.

The prompts request a last line `Answer: …`. Existing responses may have other forms. These are tried in order, and of
each form the last one in the response counts: the tag `<answer>` and the key `"answer"` of JSON; `Answer: …`, also in
other languages (`genome.tasks.languages`); a heading "Final Answer" without a colon; "the answer is …"; `\boxed{…}`;
`#### …`. Nothing else is guessed: a response without any of these forms has no answer.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from genome.tasks.languages import ANSWERS, UNSPACED

# A formula or a block of code may begin on the line below the colon.
_OPENING = r"(?:(?:\\\[|\$\$|```\w*)[ \t]*\n\s*)?"
# Markdown emphasis may enclose the word, the colon or both: **Answer:** 5, **Answer**: 5, **Answer: 5**. The answer may
# be on the line below.
_ANSWER = re.compile(
    rf"(?<![^\W_])answers?(?:[ \t]|[*_])*[:：][\s*_]*{_OPENING}(?!answer\b)(\S.*)",
    re.IGNORECASE,
)
# "Answer = 5", "Answer – 5", at the start of a line.
_DASHED = re.compile(
    r"^[ \t>*_#-]*(?:(?:the|my|our|final|correct)[ \t]+){0,3}answer[ \t*_]*(?:=+>|[=→➡⇒–—]+|-+>?(?=[ \t]))[ \t]*(\S.*)",
    re.IGNORECASE | re.MULTILINE,
)
# The last phrase of a line counts. If the line ends after it, or after a blank as in "the answer is ____.", the answer
# is the next line, unless that has its own.
_PHRASE = re.compile(
    r"^.*\b(?P<noun>(?<!your )answer)(?:[ \t]*\([^()\n]*\)|[ \t]+(?:to|of|for|in|we|that|here|then|thus|therefore)\b"
    r"[^\n.:;?!]{0,80}?|,[^\n.:;?!,]{1,40},)?"
    r"(?:'s|[ \t]+(?:(?:would|should|must|will|has[ \t]+to)[ \t]+(?:then[ \t]+|therefore[ \t]+|thus[ \t]+)?be"
    r"(?![ \t]+(?:an?|as|at|entered|expressed|for|given|in|one|positive|provided|rounded|simplified|to|written)\b)"
    r"|is|was|equals|comes[ \t]+(?:out[ \t]+)?to|turns[ \t]+out[ \t]+to[ \t]+be))\b"
    r"[ \t]*[:：]?(?:[ \t]*__+[ \t.]*(?=\n))?(?:\s*(?:\\\[|\$\$)?\s*(?![^\n]*\banswer\b))?[ \t]*(?P<said>.*)",
    re.IGNORECASE | re.MULTILINE,
)
_TAG = re.compile(
    r"(?:<|\[)(?:final[ _-]?)?answer(?:>|\])(.*?)(?:(?:</|\[/)(?:final[ _-]?)?answer|\Z)", re.IGNORECASE | re.DOTALL
)
_KEY = re.compile(r"[\"'](?:\w{0,20}[_ ]?)answer[\"'][ \t]*:\s*(?=\S)", re.IGNORECASE)
_VALUE = re.compile(r"'([^'\n]*)'|([^,}\n]*)")
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?![\d,])")
_ROW = re.compile(r"^[ \t]*\|[ \t*_]*(?:final[ \t]+)?answer[ \t*_]*\|([^|\n]+)\|[ \t]*$", re.IGNORECASE | re.MULTILINE)
# Minerva's form: "Final Answer: The final answer is $5$. I hope it is correct."
_HOPE = re.compile(r"(?<![.\s])[.\s]*I hope it is correct\.?$", re.IGNORECASE)
# A model that goes on writes the next question.
_NEXT = re.compile(
    r"\n[*_#> \t]*(?:question|q|problem|exercise|human|user|instruction)[ \t]*\d*[*_]*[ \t]*[:：]", re.IGNORECASE
)
_SHORT = re.compile(r"^A:[ \t]*(.*)", re.MULTILINE)
_HASHES = re.compile(r"####[ \t]*(.*)")
_RESULT = re.compile(
    r"(?:\b(?:the|our|my|final)[ \t]+(?:final[ \t]+)?(?:result|value|total|amount|solution)[ \t]+"
    r"(?:is|equals|=)[ \t]*:?|^[ \t*_#]*(?:final[ \t]+)?(?:result|solution)[ \t*_]*:)[ \t*_]*(\S.*)",
    re.IGNORECASE,
)
_RESULT_KEY = re.compile(r"[\"'](?:final[_ ]?)?(?:result|solution|value)[\"'][ \t]*:\s*(?=\S)", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:^|[.,:;][ \t])[ \t*_]*(?:(?:so|hence|thus|therefore)[, \t]+)?([^\s.,:;][^.,:;\n]{0,60}?)"
    r"[ \t*_]+is[ \t*_]+(?:the|our|my)[ \t]+(?:(?:final|correct|right|required)[ \t]+)?answer\b",
    re.IGNORECASE,
)
_BOXES = ("\\boxed{", "\\fbox{", "\\framebox{")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)[ \t]*(?:\{|[ \t](\d+))")
_MOST_BOXES = 10
_BETWEEN_BOXES = re.compile(r"[\s$.]*(?:,|;|and|or|&|\\text\s*\{\s*(?:and|or)\s*\})[\s$]*", re.IGNORECASE)

Means = Callable[[str], bool]


def find_answer(response: str, means: Means = bool) -> str | None:
    r"""Return the text of the answer, trimmed, or None if the response has none.

    Texts for which `means` is false are passed over, such as "correct" in "so the answer is correct".

    >>> find_answer("First 2 + 3.\nAnswer: 4\nNo, wait.\n**Answer:** 5")
    '5'
    >>> find_answer(r"so we get \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    following = _NEXT.search(response)
    if following:
        answer = next(filter(means, _answers(response[: following.start()])), None)
        if answer is not None:
            return answer
    return next(filter(means, _answers(response)), None)


def find_result(response: str, means: Means = bool) -> str | None:
    """Return the answer as `find_answer` does, or else what the last line calls the result: "so the result is 5"."""
    answer = find_answer(response, means)
    if answer is not None or not response.strip():
        return answer
    keys = list(_RESULT_KEY.finditer(response)) if "{" in response else []
    if keys:
        text = _value(response, keys[-1].end())
        return text if text and means(text) else None
    line = response.strip().splitlines()[-1]
    nouns = tuple(noun for noun in _RESULTS if noun in line.lower())
    patterns = (_RESULT, _BEFORE, *([_in_languages(nouns)] if nouns else []))
    return next((text for pattern in patterns for text in _last_first(pattern, line) if means(text)), None)


def _answers(response: str) -> Iterator[str]:
    """Yield the texts in an answer's place, in order of preference."""
    # Searching for a short word first is many times faster than a regular expression over a long response.
    lowered = response.lower()
    if "answer" in lowered:
        if "answer>" in lowered or "answer]" in lowered:
            for text in _last_first(_TAG, response):
                yield from _said(text)
        if 'answer"' in lowered or "answer'" in lowered:
            for key in reversed(list(_KEY.finditer(response))):
                yield from _said(_value(response, key.end()))
        for text in _lines(response):
            yield from _said(next(_phrases(text), text))
    nouns = tuple(noun for noun in _NOUNS if noun in lowered)
    if nouns:
        for text in _last_first(_in_languages(nouns), response):
            yield from _said(text)
    if "answer" in lowered or nouns:
        for text in _last_first(_heading(("answer", *nouns)), response):
            yield from _said(next(_phrases(text), text))
    if "answer" in lowered:
        for texts in (_last_first(_DASHED, response), _last_first(_ROW, response), _phrases(response)):
            for text in texts:
                yield from _said(text)
    if "box" in lowered and (answer := _boxes(response)):
        yield answer
    if "####" in response:
        yield from _last_first(_HASHES, response)


def _said(text: str) -> Iterator[str]:
    """Yield the content of the box in a text in an answer's place, else the text."""
    if text:
        yield (_boxes(text) or text) if "\\" in text else text


def _last_first(pattern: re.Pattern[str], response: str) -> Iterator[str]:
    """Yield the matches with more than spaces and emphasis, trimmed, the last one first."""
    return filter(None, map(_trimmed, reversed(pattern.findall(response))))


def _phrases(response: str) -> Iterator[str]:
    """Yield what follows each phrase "the answer is", the last one first; the earlier ones of a line last."""
    earlier = []
    for match in reversed(list(_PHRASE.finditer(response))):
        if text := _trimmed(match["said"]):
            yield text
        before = _PHRASE.match(response[match.start() : match.start("noun")])
        earlier += [before["said"]] if before else []
    yield from filter(None, map(_trimmed, earlier))


def _lines(response: str) -> Iterator[str]:
    """Yield what follows each "Answer:", the last one first.

    If the last two are different values on adjacent lines, the first text is both: "4, 5".
    """
    matches = list(_ANSWER.finditer(response))
    texts = [_trimmed(match[1]) for match in matches]
    if len(texts) > 1 and texts[-1] != texts[-2] and not set(texts[-2] + texts[-1]) & set(" ="):
        between = response[matches[-2].end() : matches[-1].start()]
        texts += [", ".join(texts[-2:])] if not between.strip("\n \t*_#>-") else []
    yield from filter(None, reversed(texts))


def _trimmed(text: str) -> str:
    return _HOPE.sub("", text.strip().strip("*_")).strip()


def _value(response: str, start: int) -> str:
    """Return the value of a JSON key at `start` as text; also of a Python dict, and of JSON that is cut."""
    grouped = _GROUPED.match(response, start)
    if grouped:
        return grouped[0]
    try:
        value, _ = json.JSONDecoder().raw_decode(response, start)
    except ValueError:
        found = _VALUE.match(response, start)
        value = (found[1] or found[2] or "").strip(" \"'") if found else ""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_NOUNS = tuple(dict.fromkeys(noun for words in ANSWERS.values() for noun in words.answer))
_RESULTS = tuple(dict.fromkeys(noun for words in ANSWERS.values() for noun in words.result))


@lru_cache(maxsize=256)
def _in_languages(nouns: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of "noun: answer" and "noun is answer" for the nouns that a response has."""
    forms = []
    for language, words in ANSWERS.items():
        own = _any(noun for noun in nouns if noun in words.answer + words.result)
        if not own:
            continue
        links = _any(link for link in words.link if link)
        if language in UNSPACED:
            link = rf"(?:{links})[ \t]*[:：]?"
            noun = rf"(?:{own})[^\s:：.。,，、\d]{{0,16}}?"
        else:
            # Adjectives and such may stand around the link: "la réponse finale à la question est donc 5".
            link = rf"(?<!\w)(?:{links})(?!\w)[ \t]*[:：]?"
            noun = rf"(?<![^\W_])(?:{own})[^\s:：.,;!?\d*_=]{{0,4}}(?:[ \t]+[^\s:：.,;!?\d*\"'“”()]+){{0,5}}?[ \t]*"
        forms.append(rf"{noun}[ \t*_]*(?:[:：ః=–—]|-(?=[ \t])|{link})")
        if "" in words.link:
            start = "" if language in UNSPACED else r"(?<![^\W_])"
            forms.append(rf"{start}(?:{own})[ \t*_]*(?=[$€£¥₹]?[-−]?\d)")
    # A noun at the end of a sentence announces nothing.
    return re.compile(rf"(?:{'|'.join(forms)})[\s*_:：]*{_OPENING}(?=.*[^\W_])(\S.*)", re.IGNORECASE)


@lru_cache(maxsize=256)
def _heading(nouns: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of a heading such as "### Final Answer" or "**Answer** 5", with the answer behind or below."""
    word = rf"(?:[^\W\d_]+[ \t]+){{0,3}}(?:{_any(nouns)})(?:[ \t]+[^\W\d_]+)?"
    return re.compile(
        rf"^[ \t>✅]*(?:#+[ \t]*[*_]*{word}[*_]*[ \t]*(?:\n[\s>]*|(?=[\d$\\]))"
        rf"|[*_]+{word}[*_]+[ \t]*(?:[-–—=]+>?[ \t]+|\n[\s>]*)?"
        rf"|(?:final[ \t]+)?(?:{_any(nouns)})(?:[ \t]*\n\s*|[ \t]+(?=[-−$€£]{{0,2}}\d[\d,.]*\W*$)))"
        rf"{_OPENING}(?![:：])(\S.*)",
        re.IGNORECASE | re.MULTILINE,
    )


def _any(words: Iterator[str] | tuple[str, ...]) -> str:
    """Return a pattern for any of `words`, the longest first."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


def boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{…}`, with balanced braces; None if there is none or it is not closed."""
    start = max(text.rfind(command) for command in _BOXES)
    content = _braced(text, start) if start >= 0 else None
    return None if content is None else content.strip()


def _boxes(text: str) -> str | None:
    r"""Return the content of the last box that is closed; a list as in `\boxed{1} and \boxed{2}` is one: "1, 2"."""
    found: list[str] = []
    first = len(text)  # where the boxes found so far begin
    for match in reversed(list(_BOX.finditer(text))[-_MOST_BOXES:]):
        content = match[1] if match[1] is not None else _braced(text, match.start())
        if content is None:
            continue
        if found:
            end = match.end() if match[1] is not None else match.end() + len(content) + 1
            if not _BETWEEN_BOXES.fullmatch(text, end, first):
                break
        found.insert(0, content.strip())
        first = match.start()
    return ", ".join(dict.fromkeys(found)) if found else None


def _braced(text: str, start: int) -> str | None:
    """Return what is between the first opening brace from `start` on and its closing one."""
    begin = text.index("{", start) + 1
    depth = 1
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position]
    return None


def find_pattern(pattern: str, response: str) -> str | None:
    """Return group 1 of the last match of a task's own pattern in which that group is not blank, or None."""
    # A pattern such as (.*) also matches the empty text at the end.
    texts = [match.group(1) for match in re.finditer(pattern, response)]
    return next((text for text in reversed(texts) if text and text.strip()), None)


_NUMBER = re.compile(r"[-−]?[$€£¥]?[-−]?(?:\d[\d,.]*\d|\d)(?:/\d+)?")

# Several lines, or a sentence.
_PROSE = re.compile(r"\n|[.;:!?] +\w|\b(?:\w+\W+){3}\w+[.!?]$")

FALLBACKS: dict[str, Callable[[str], str | None]] = {
    "whole": lambda response: response.strip() or None,
    "line": lambda response: None if _PROSE.search(response.strip()) else response.strip() or None,
    "short_line": lambda response: next(_last_first(_SHORT, response), None),
    "last_number": lambda response: (_NUMBER.findall(response) or [None])[-1],
}
"""Fallbacks that a task file may choose for a response without an answer; otherwise there is no guessing."""
