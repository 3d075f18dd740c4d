"""Finds the program in a response: in a fenced block, between other marks, after "Answer:", or bare.

Of several blocks the last one counts that defines what the tests call and can be compiled; blocks with examples, tests
or output do not.
"""

import ast
import re
import textwrap
from collections.abc import Sequence

_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def (?!main\b|test)|class (?!Test))|=\s*lambda\b", re.MULTILINE)
# A fence closes on a separate line or, if the model forgot the line break, at the end of one; never inside quotes.
# Another fence with a language ends one that was not closed.
_FENCE = re.compile(
    r"(?<![`~])(`{3,}|~{3,})[^\n`~]*\n(.*?)"
    r"(?:^[ \t>]*\1[`~]*[ \t]*(?=$|<)|(?<=[^\"'`~\n])\1[ \t]*$|(?=^[ \t]*\1\w+[ \t]*$)|\Z)",
    re.DOTALL | re.MULTILINE,
)
_MARKED = re.compile(
    r"\[BEGIN\](.*?)(?:\[DONE\]|\[END\]|\Z)|\[PYTHON\](.*?)(?:\[/PYTHON\]|\Z)|<code>(.*?)(?:</code>|\Z)"
    r"|\\begin\{(?:code|lstlisting|verbatim)\}(.*?)(?:\\end\{|\Z)",
    re.DOTALL,
)
_AFTER_ANSWER = re.compile(r"\banswer[ \t]*(?:[*_]+[ \t]*)?:[*_]*", re.IGNORECASE)
_CODE_LINE = re.compile(r"(?:async def|def|class|import|from) \w|@\w|\w+ *= *lambda\b")
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)[ \t]*\(")
_MOST_CUTS = 3


def find_program(response: str) -> str | None:
    """Return the text of a response that holds its program in blocks or after "Answer:"; None if it has neither."""
    if "```" in response or "~~~" in response or _MARKED.search(response):
        return response
    parts = _AFTER_ANSWER.split(response)
    return parts[-1] if len(parts) > 1 else None


def read_program(text: str, tests: Sequence[str] = (), body: bool = False) -> str | None:
    """Return the program in `text`, given the tests that it must pass; None if there is none.

    With `body`, it continues a prefix, so that text without marks is taken as it is, with its indent.

    >>> read_program("Answer: see below\\ndef f(x):\\n    return x\\nThat is all.", ["assert f(1) == 1"])
    'def f(x):\\n    return x'
    """
    text = text.replace("\r\n", "\n")
    blocks = [textwrap.dedent(block) for _, block in _FENCE.findall(text)]
    blocks = blocks or [textwrap.dedent("".join(found)) for found in _MARKED.findall(text)]
    called = {name for test in tests for name in _CALLED.findall(test)}
    program = _chosen(blocks, called) if blocks else text if body else _bare(text)
    # Blank lines around a program mean nothing, the indent of its first line does.
    lines = program.rstrip().splitlines()
    while lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines) or None


def _chosen(blocks: Sequence[str], called: set[str]) -> str:
    defining = [block for block in blocks if _DEFINITION.search(block)]
    asked = [block for block in blocks if called & _defined(block)]
    for candidates in (asked, defining, blocks):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            return next(filter(_compiles, reversed(candidates)), candidates[-1])
    return ""


_NAME = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|^(\w+)[ \t]*=", re.MULTILINE)


def _defined(block: str) -> set[str]:
    """Return the names that a block defines at its top level."""
    return {name for names in _NAME.findall(block) for name in names}


def _compiles(program: str) -> bool:
    try:
        ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _bare(text: str) -> str:
    """Return a program without marks: `text` without the prose before and after it."""
    stripped = textwrap.dedent(text.lstrip(" \t")).strip("\n")
    lines = stripped.splitlines()
    if _compiles(stripped):
        return stripped
    first = next((number for number, line in enumerate(lines) if _CODE_LINE.match(line)), None)
    if first is None:
        return stripped
    lines = lines[first:]
    for _ in range(_MOST_CUTS):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            # Prose begins in the line of the error; what is before it must be a program.
            cut = lines[: (error.lineno or 1) - 1]
            if not cut or not _CODE_LINE.match(lines[0]):
                break
            lines = cut
        except (ValueError, RecursionError, MemoryError):
            break
        else:
            return "\n".join(lines)
    return stripped
