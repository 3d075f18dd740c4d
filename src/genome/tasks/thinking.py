"""The part of a response in which a model speaks: without its thinking, and without special tokens left in the text.

Reasoning models write their thinking first, between marks such as `<think>` and `</think>`; a chat template may have
written the first mark in the prompt already. What they enclose is never an answer.
"""

import re

# Open and close: DeepSeek R1 and Qwen3, and models with other words; Sky-T1; Magistral; Kimi; Cohere.
_WORDS = r"(?:[a-z]+[:_])?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis)"
_MARK = re.compile(
    rf"<(?P<close>/)?{_WORDS}>"
    r"|<\|(?:begin|start|(?P<end>end))_(?:of_)?(?:thought|thinking)\|>"
    r"|\[(?P<slash>/)?think\]"
    r"|◁(?P<kimi>/)?think▷",
    re.IGNORECASE,
)
# gpt-oss writes "channels", and ends each with a token that others use as the end of a turn.
_CHANNEL = re.compile(r"<\|channel\|>(\w+)[^<]*<\|message\|>")
_TURN = re.compile(
    r"\s*(?:<s>|<bos>|<\|begin_of_text\|>|<\|startoftext\|>|<\|im_start\|>(?:assistant)?|<start_of_turn>(?:model)?"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|assistant\|>|\[/INST\])\s*",
)
# Ends of a text or of a turn, and the start of the next turn.
_END = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eom_id|endoftext|end_of_text|end|eos|return|call|endofturn|end_of_turn"
    r"|start_header_id|user|system|assistant|observation|END_OF_TURN_TOKEN|START_OF_TURN_TOKEN)\|>"
    r"|</s>|<eos>|<pad>|<end_of_turn>|<start_of_turn>|<end_of_utterance>|<｜end▁of▁sentence｜>|<｜User｜>|\[/?INST\]"
)


def spoken(response: str, *, begun: bool = False) -> str | None:
    """Return what `response` says after its thinking, or None if it was cut while thinking.

    It ends before the first token that ends a turn. `begun`: the thinking begins in the prompt.

    >>> spoken("<think>Answer: 4? No.</think>\\nAnswer: 5<|im_end|>"), spoken("<think>Answer: 4")
    ('\\nAnswer: 5', None)
    >>> spoken("4? No.</think>Answer: 5", begun=True), spoken("Answer: 4", begun=True)
    ('Answer: 5', None)
    """
    if begun and not _MARK.search(response):
        return None
    if "<" not in response and "[" not in response and "◁" not in response:
        return response
    channels = list(_CHANNEL.finditer(response)) if "<|channel|>" in response else []
    if channels:
        if channels[-1][1] != "final":
            return None
        response = response[channels[-1].end() :]
    while turn := _TURN.match(response):
        response = response[turn.end() :]
    end = _END.search(response)
    response = response[: end.start()] if end else response
    marks = list(_MARK.finditer(response))
    if not marks:
        return response
    return response[marks[-1].end() :] if any(marks[-1].groups()) else None
