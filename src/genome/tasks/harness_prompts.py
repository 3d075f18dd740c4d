"""Prompts of a task of lm-evaluation-harness as tokens: the contexts and continuations that the harness made, exactly.

Without a chat template a context is the harness's text. With one, its messages go through the base's template, as with
the harness's --apply_chat_template; the `system` text of the chat comes before the task's description. How the
assistant's turn begins and where a response ends are the task's own: `assistant_prefix` and `stop` of the chat are not
used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from genome.errors import GenomeError
from genome.tasks.chat import Chat, conversation_text, opens_thinking, token_ids
from genome.tasks.continuations import encoded_pairs
from genome.tasks.task import HARNESS, Task

Row = Mapping[str, Any]


def prepare(task: Task, rows: Sequence[Row], tokenizer: Any, chat: Chat) -> list[dict[str, Any]]:
    """Return the `prompt` and `tokens` of each row, and its `continuations` or what a generated response needs.

    If each option has a context, each continuation has its `prompt`, and `tokens` is the longest of these.
    """
    chat = replace(chat, assistant_prefix="")
    texts = [[_text(task, each, tokenizer, chat) for each in _form(row, chat)["contexts"]] for row in rows]
    if task.kind == HARNESS:
        tokens = token_ids(tokenizer, [each for [each] in texts])
        kept = ("doc", "harness", "max_tokens", "until")
        return [
            {"prompt": row["plain"]["contexts"][0], "tokens": ids, **{key: row[key] for key in kept}}
            for row, ids in zip(rows, tokens, strict=True)
        ]
    return [_compared(task, row, each, tokenizer, chat) for row, each in zip(rows, texts, strict=True)]


def _form(row: Row, chat: Chat) -> Mapping[str, Any]:
    return row["plain" if chat.plain else "chat"]


def _text(task: Task, context: Any, tokenizer: Any, chat: Chat) -> str:
    """Return a context as the model reads it."""
    if chat.plain:
        return context
    text = conversation_text(tokenizer, context, chat)
    if task.kind != HARNESS and opens_thinking(text, context[-1]["content"]):
        raise GenomeError(
            f"task {task.name}: the chat template opens the model's reasoning, where no option would be compared; set "
            "chat: {template_arguments: {enable_thinking: false}} as the template needs it"
        )
    return text


def _compared(task: Task, row: Row, contexts: Sequence[str], tokenizer: Any, chat: Chat) -> dict[str, Any]:
    """Return a row's tokens of the prompt and of its options."""
    given = _form(row, chat)["continuations"]
    shared = len(contexts) == 1
    pairs = [(contexts[0], given)] if shared else [(text, [each]) for text, each in zip(contexts, given, strict=True)]
    encoded = encoded_pairs(tokenizer, pairs)
    continuations = [
        {
            "option": option,
            "tokens": tokens,
            "characters": len(text),
            "bytes": len(text.encode()),
            **({} if shared else {"prompt": prompt}),
        }
        for (option, text), (prompt, tokens) in zip(
            row["options"].items(), [(prompt, ids) for prompt, each in encoded for ids in each], strict=True
        )
    ]
    if lost := [each["option"] for each in continuations if not each["tokens"] or not each["characters"]]:
        raise GenomeError(
            f"task {task.name}, row {row['question'][:60]!r}: option {lost[0]} is empty after the prompt, so it has no "
            "likelihood; leave such documents out by the harness's process_docs"
        )
    found = {
        "prompt": row["plain"]["contexts"][0],
        "tokens": max((prompt for prompt, _ in encoded), key=len),
        "continuations": continuations,
    }
    if task.neutral_prompt is not None:
        [(tokens, neutral)] = encoded_pairs(tokenizer, [(task.neutral_prompt, given)])
        found["neutral"] = {"tokens": tokens, "continuations": neutral}
    return found
