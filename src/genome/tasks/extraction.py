r"""Where in a response the answer stands.

The prompts ask for a last line `Answer: …`. Responses that people already have say it in other ways, so after the
last such line come, in this order, "the answer is …", `\boxed{…}` and `#### …`. There is no other guessing: a
response without any of them has no answer.
"""

import re

# Markdown emphasis may enclose the word, the colon or both: **Answer:** 5, **Answer**: 5, **Answer: 5**. An answer on
# the line below its heading belongs to it.
_ANSWER = re.compile(r"\banswers?[ \t]*[*_]*[ \t]*[:：][\s*_]*(?!answer\b)(\S.*)", re.IGNORECASE)
_PHRASE = re.compile(r"\banswer[ \t]+is\b[ \t]*[:：]?[ \t]*(.*)", re.IGNORECASE)
_HASHES = re.compile(r"####[ \t]*(.*)")
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def find_answer(response: str) -> str | None:
    r"""Return the text of the answer, trimmed, or None when the response names none.

    >>> find_answer("First 2 + 3.\nAnswer: 4\nNo, wait.\n**Answer:** 5")
    '5'
    >>> find_answer(r"so we get \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    # A plain search of a short word is many times faster than a regular expression over a long response.
    lowered = response.lower()
    if "answer" in lowered:
        for pattern in (_ANSWER, _PHRASE):
            answer = _last(pattern, response)
            if answer:
                return answer
    if "\\boxed" in response or "\\fbox" in response:
        answer = boxed(response)
        if answer:
            return answer
    if "####" in response:
        return _last(_HASHES, response)
    return None


def find_program(response: str) -> str | None:
    """Return the last fenced code block, else all that follows the last `Answer:`; None when there is neither."""
    blocks = _FENCE.findall(response)
    if blocks:
        return blocks[-1]
    parts = re.split(r"\banswer[ \t]*[*_]*[ \t]*:[*_]*", response, flags=re.IGNORECASE)
    return parts[-1] if len(parts) > 1 else None


def fenced(text: str) -> str:
    """Return the last fenced code block of `text`, or `text` itself where there is none."""
    blocks = _FENCE.findall(text)
    return blocks[-1] if blocks else text


def boxed(text: str) -> str | None:
    r"""Return what the last `\boxed{…}` holds, with balanced braces; None where there is none or it never closes."""
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
    """Return group 1 of the last match of a task's own pattern in which it holds anything, or None."""
    # A pattern such as (.*) matches once more, with nothing, at the end of the text.
    texts = [match.group(1) for match in re.finditer(pattern, response)]
    return next((text for text in reversed(texts) if text and text.strip()), None)


def _last(pattern: re.Pattern[str], response: str) -> str | None:
    """Return the last match that holds more than spaces and emphasis, trimmed."""
    for found in reversed(pattern.findall(response)):
        answer = found.strip().strip("*_").strip()
        if answer:
            return answer
    return None
