r"""Finds the answer in a response.

The prompts request a last line `Answer: …`. Existing responses may have other forms, so without such a line these are
tried in order: "the answer is …", `\boxed{…}` and `#### …`. Nothing else is guessed: a response without any of these
forms has no answer.
"""

import re
import textwrap
from collections.abc import Callable

# Markdown emphasis may enclose the word, the colon or both: **Answer:** 5, **Answer**: 5, **Answer: 5**. The answer may
# be on the line below.
_ANSWER = re.compile(
    r"(?<![^\W_])answers?(?:[ \t]|[*_])*[:：][\s*_]*(?:(?:\\\[|\$\$|```\w*)[ \t]*\n\s*)?(?!answer\b)(\S.*)",
    re.IGNORECASE,
)
# The last phrase of a line counts. If the line ends after it, the answer is the next line, unless that has its own.
_PHRASE = re.compile(
    r"^.*\banswer(?:[ \t]*\([^()\n]*\))?[ \t]+is\b[ \t]*[:：]?(?:\s*(?:\\\[|\$\$)?\s*(?![^\n]*\banswer\b))?[ \t]*(.*)",
    re.IGNORECASE | re.MULTILINE,
)
# Minerva's form: "Final Answer: The final answer is $5$. I hope it is correct."
_HOPE = re.compile(r"(?<![.\s])[.\s]*I hope it is correct\.?$", re.IGNORECASE)
_SHORT = re.compile(r"^A:[ \t]*(.*)", re.MULTILINE)
_HASHES = re.compile(r"####[ \t]*(.*)")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def (?!main\b|test)|class (?!Test))|=\s*lambda\b", re.MULTILINE)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def find_answer(response: str) -> str | None:
    r"""Return the text of the answer, trimmed, or None if the response has none.

    >>> find_answer("First 2 + 3.\nAnswer: 4\nNo, wait.\n**Answer:** 5")
    '5'
    >>> find_answer(r"so we get \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    # Searching for a short word first is many times faster than a regular expression over a long response.
    lowered = response.lower()
    if "answer" in lowered:
        for pattern in (_ANSWER, _PHRASE):
            answer = _last(pattern, response)
            if answer:
                answer = _last(_PHRASE, answer) or answer
                return boxed(answer) or answer
    if "\\boxed" in response or "\\fbox" in response:
        answer = boxed(response)
        if answer:
            return answer
    if "####" in response:
        return _last(_HASHES, response)
    return None


def find_program(response: str) -> str | None:
    """Return the last fenced code block, else the text after the last `Answer:`; None if there is neither.

    A block with a definition is preferred to blocks that only use it, such as an example at the end.
    """
    blocks = [textwrap.dedent(block) for block in _FENCE.findall(response)]
    if blocks:
        return next((block for block in reversed(blocks) if _DEFINITION.search(block)), blocks[-1])
    parts = re.split(r"\banswer[ \t]*(?:[*_]+[ \t]*)?:[*_]*", response, flags=re.IGNORECASE)
    return parts[-1] if len(parts) > 1 else None


def fenced(text: str) -> str:
    """Return the last fenced code block of `text`, or `text` itself if there is none."""
    return find_program(text) or text if "```" in text else text


def boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{…}`, with balanced braces; None if there is none or it is not closed."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    begin = text.index("{", start) + 1
    depth = 1
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position].strip()
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
    "short_line": lambda response: _last(_SHORT, response),
    "last_number": lambda response: (_NUMBER.findall(response) or [None])[-1],
}
"""Fallbacks that a task file may choose for a response without an answer; otherwise there is no guessing."""


def _last(pattern: re.Pattern[str], response: str) -> str | None:
    """Return the last match with more than spaces and emphasis, trimmed."""
    for found in reversed(pattern.findall(response)):
        answer = _HOPE.sub("", found.strip().strip("*_")).strip()
        if answer:
            return answer
    return None
