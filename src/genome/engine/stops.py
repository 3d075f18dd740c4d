"""Texts at which a response ends, in the built-in engine: a row of a batch ends with the token that completes one."""

from collections.abc import Callable, Sequence
from typing import Any

MARGIN = 8
"""Tokens that are decoded in addition to those that may belong to a stop text: some decoders change the first ones."""


def cut(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the stop text that is complete first; of those that end together, the longest, as in vLLM.

    >>> cut("4\\n\\nQ: 5", ["Q:", "\\n\\n"])
    '4'
    """
    ends = [(place + len(stop), place) for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)[1]] if ends else text


def ending(tokenizer: Any, stops: Sequence[str]) -> Callable[[Sequence[int]], bool] | None:
    """Return a function that says whether the tokens of a response end in a stop text; None without stop texts.

    To be called after each token. It decodes only the last tokens, as many as the longest stop text has bytes and a few
    more, because each of them adds at least one byte, except special tokens, which are left out of a text.
    """
    if not stops:
        return None
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    longest = MARGIN + max(len(stop.encode(errors="surrogatepass")) for stop in stops)

    def found(tokens: Sequence[int]) -> bool:
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        return any(stop in text for stop in stops)

    def ends(tokens: Sequence[int]) -> bool:
        window: list[int] = []
        for token in reversed(tokens):
            if token not in special:
                window.append(token)
                if len(window) == longest:
                    break
        # Incomplete characters may be decoded otherwise without the bytes before them.
        return found(window[::-1]) and found(tokens)

    return ends
