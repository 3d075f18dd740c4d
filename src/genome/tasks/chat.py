"""Prompts as conversations: the base model's tokenizer, its chat template, and the config's settings for both.

Training and the stage of prompts both use this module, so that experts are trained and evaluated with the same texts.
A template may print today's date, as Llama's do. Because the same prompt would then differ tomorrow, the date is fixed.
"""

import datetime
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from genome.errors import GenomeError, one_line
from genome.files import read_object, read_text
from genome.limits import OverLimitError, limited

DATE = datetime.date(2024, 7, 26)
"""The date that a chat template gets as today's by default. Llama's templates use this date if they get none."""

PLAIN: Final = "plain"
"""The setting for a base without a chat template: a prompt, a line break, the response."""

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tekken.json", "*.model", "*.tiktoken")
"""Files of vocabularies; every tokenizer has at least one of them."""

RESERVED = ("messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template")
RESERVED += ("conversation", "tokenize", "return_dict", "return_tensors", "padding", "truncation", "max_length")
"""Arguments of a template that the settings cannot give, because rendering does."""

STOPS = 16
"""Most stop texts."""

THINKS = "<think>"
"""Opens the reasoning of models that write it before their answer; `</think>` closes it."""

_RESPONSE = "RESPONSE"
"""The response of the conversation that shows how a template ends an assistant's turn."""


@dataclass(frozen=True)
class Chat:
    """How prompts are rendered: the settings of `genome.tasks.chat_settings`, without `stop`, which changes no prompt.

    `system` is the text of a system turn, and `assistant_prefix` how the assistant's turn begins. `template` names one
    of the tokenizer's templates, `template_file` a file that replaces them, and `plain` means no template.
    `template_arguments` are variables of the template, such as {"enable_thinking": False}, and `date` is its today.
    """

    system: str | None = None
    template: str | None = None
    template_file: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    assistant_prefix: str = ""
    date: datetime.date = DATE
    plain: bool = False


def parse_chat(value: Literal["plain"] | Mapping[str, Any] | None) -> Chat:
    """Return checked settings of a chat, "plain" or a mapping; None means the tokenizer's template unchanged."""
    if value == PLAIN:
        return Chat(plain=True)
    given = {key: found for key, found in (value or {}).items() if found is not None and key != "stop"}
    if "date" in given:
        given["date"] = datetime.date.fromisoformat(given["date"])
    return Chat(**given)


def template_text(file: Path | str) -> str:
    """Return the chat template in a user's `file`; GenomeError if it is missing, empty or not text."""
    text = read_text(Path(file).expanduser())
    if not text.strip():
        raise GenomeError(f"{file}: an empty chat template; write one, or set chat: plain for no template")
    return text


def load_tokenizer(base: Path | str) -> Any:
    """Return the tokenizer in a base model's folder.

    GenomeError names the folder and the missing file or package.
    """
    folder = Path(base)
    found = [pattern for pattern in VOCABULARIES if any(folder.glob(pattern))]
    if not found:
        raise GenomeError(
            f"{folder}: no tokenizer here (none of {', '.join(VOCABULARIES)}); add the tokenizer's files to the base "
            "model's folder"
        )
    if "vocab.json" in found and len(found) == 1 and not (folder / "merges.txt").is_file():
        raise GenomeError(f"{folder}: vocab.json without merges.txt is half a tokenizer; add merges.txt to the folder")
    if "tokenizer.json" not in found:
        check_packages(folder)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer("a")  # a setting of the wrong type only raises an error here
    except Exception as error:  # `tokenizers` raises no narrower class for a damaged file
        reason = one_line(error)
        remedy = "correct its files, or save the tokenizer as tokenizer.json"
        if "custom code" in str(error):
            reason, remedy = "it needs remote code, which is never run", "save the tokenizer as tokenizer.json"
        raise GenomeError(f"{folder}: the tokenizer cannot be read ({reason}); {remedy}") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise GenomeError(
            f"{folder}: the tokenizer has no words, so its files ({', '.join(found)}) do not belong to the class "
            f"{type(tokenizer).__name__}; add tokenizer.json, or tokenizer_config.json with the right tokenizer_class"
        )
    _add_old_template(tokenizer, folder)
    return tokenizer


def prompt_texts(tokenizer: Any, prompts: Sequence[str], chat: Chat) -> list[str]:
    """Return each prompt as a conversation that the model continues with its response.

    GenomeError: no chat template, one that refuses the conversation, or one that leaves the prompt out.
    """
    if chat.plain:
        texts = [prompt + "\n" for prompt in prompts]
    else:
        texts = _render(tokenizer, [_turns(prompt, chat) for prompt in prompts], chat, add_generation_prompt=True)
    return [text + chat.assistant_prefix for text in texts]


def conversation_text(tokenizer: Any, messages: Sequence[Mapping[str, str]], chat: Chat) -> str:
    """Return messages as the template renders them, up to where the assistant's turn, or its last message, goes on.

    The chat's `system` text comes before that of a first message by the system. GenomeError as `prompt_texts`.
    """
    turns = [dict(each) for each in messages]
    if chat.system is not None:
        described = turns.pop(0)["content"] if turns[0]["role"] == "system" else ""
        turns.insert(0, {"role": "system", "content": "\n\n".join(filter(None, (chat.system, described)))})
    begun = turns.pop()["content"] if turns[-1]["role"] == "assistant" else ""
    [text] = _render(tokenizer, [turns], chat, add_generation_prompt=True)
    return text + begun


def dialogue_texts(
    tokenizer: Any, prompts: Sequence[str], responses: Sequence[str], chat: Chat
) -> list[tuple[str, str]]:
    """Return each prompt as `prompt_texts` does, with what follows it: the response and the end of the turn.

    GenomeError as `prompt_texts`, and if prompts open reasoning that a response does not close.
    """
    asked = prompt_texts(tokenizer, prompts, chat)
    for prompt, response, text in zip(prompts, responses, asked, strict=True):
        if opens_thinking(text, prompt) and "</think>" not in response:
            raise GenomeError(
                f"{tokenizer.name_or_path}: prompts end in {THINKS}, and a response of the corpus does not close it; "
                f"in the config, set bases.{Path(tokenizer.name_or_path).name}.chat to {{template_arguments: "
                '{enable_thinking: false}} or to {assistant_prefix: "</think>\\n\\n"}, as the template needs it'
            )
    if chat.plain:
        return list(zip(asked, responses, strict=True))
    whole = [chat.assistant_prefix + response for response in responses]
    turns = [
        [*_turns(prompt, chat), {"role": "assistant", "content": content}]
        for prompt, content in zip([*prompts, "PROMPT"], [*whole, _RESPONSE], strict=True)
    ]
    *texts, shown = _render(tokenizer, turns, chat, add_generation_prompt=False)
    end = shown.rpartition(_RESPONSE)[2]
    # Some templates begin an answered turn in another way than a prompt ends, or leave out its reasoning.
    return [
        (prompt, rest if text != rest and response.strip() in rest else response + end)
        for prompt, response, text in zip(asked, responses, texts, strict=True)
        for rest in [text.removeprefix(prompt)]
    ]


def opens_thinking(text: str, prompt: str) -> bool:
    """Return whether a rendered prompt ends within reasoning, so that the response begins there."""
    added = text.rpartition(prompt.strip())[2]
    return added.rfind(THINKS) > added.rfind("</think>")


def prints_date(tokenizer: Any, chat: Chat) -> bool:
    """Return whether the chat template prints today's date, and therefore gets `chat.date`."""
    return not chat.plain and "strftime_now" in _template(tokenizer, chat)


def _turns(prompt: str, chat: Chat) -> list[dict[str, str]]:
    system = [] if chat.system is None else [{"role": "system", "content": chat.system}]
    return [*system, {"role": "user", "content": prompt}]


def _render(tokenizer: Any, turns: Sequence[list[dict[str, str]]], chat: Chat, **settings: bool) -> list[str]:
    import jinja2

    template = _template(tokenizer, chat)
    base = Path(tokenizer.name_or_path).name
    owner = f"{tokenizer.name_or_path}: its" if chat.template_file is None else f"{chat.template_file}: this"
    texts = []
    try:
        with limited():
            _prepare_template(template, chat.date)
        for each in turns:
            with limited():
                texts.append(
                    tokenizer.apply_chat_template(
                        each, chat_template=template, tokenize=False, **settings, **chat.template_arguments
                    )
                )
    except jinja2.TemplateSyntaxError as error:
        raise GenomeError(
            f"{owner} chat template is not valid (line {error.lineno}: {one_line(error)}); correct it, or set "
            f"bases.{base}.chat in the config to {{template_file: FILE}}, or to plain for no template"
        ) from error
    except (
        jinja2.TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        OverLimitError,
    ) as error:
        asked = "a system and a user turn" if chat.system is not None else "a user turn without a system turn"
        raise GenomeError(
            f"{owner} chat template refuses {asked} ({one_line(error)}); in the config, set "
            f"bases.{base}.chat to {{system: TEXT}}, to {{system: null}}, to {{template_arguments: {{…}}}} as "
            "the template needs it, or to plain for no template"
        ) from error
    for index, turn in enumerate(turns[0] if turns else ()):
        lost = [text for each, text in zip(turns, texts, strict=True) if each[index]["content"].strip() not in text]
        if len(lost) == len(turns):
            raise GenomeError(
                f"{owner} chat template leaves out the {turn['role']}'s text; correct the "
                f"template, or set bases.{base}.chat in the config"
            )
    return texts


def _template(tokenizer: Any, chat: Chat) -> str:
    """Return the text of the chat template in the setting."""
    if chat.template_file is not None:
        return template_text(chat.template_file)
    where, base = tokenizer.name_or_path, Path(tokenizer.name_or_path).name
    found = tokenizer.chat_template
    if not found:
        raise GenomeError(
            f"{where}: the tokenizer has no chat template; in the config, set bases.{base}.chat to plain for prompts "
            "without one, or to {template_file: FILE}"
        )
    named = found if isinstance(found, dict) else {"default": found}
    name = chat.template or "default"
    if name not in named:
        raise GenomeError(
            f"{where}: the tokenizer has no chat template {name!r}; set bases.{base}.chat.template in the config to "
            f"one of {', '.join(sorted(named))}"
        )
    return named[name]


def _prepare_template(template: str, date: datetime.date) -> None:
    """Give the compiled template, which transformers keeps, a fixed clock, and remove its random functions.

    transformers has no setting for the clock: functions among a template's arguments become text.
    """
    from transformers.utils import chat_template_utils

    environment = chat_template_utils._compile_jinja_template(template).environment
    noon = datetime.datetime.combine(date, datetime.time(12))
    environment.globals["strftime_now"] = noon.strftime
    environment.filters.pop("random", None)
    environment.globals.pop("lipsum", None)


def _add_old_template(tokenizer: Any, folder: Path) -> None:
    """Read the template from chat_template.json, which processors used to write and tokenizers do not read."""
    path = folder / "chat_template.json"
    if not tokenizer.chat_template and path.is_file():
        tokenizer.chat_template = read_object(path).get("chat_template")


def check_packages(folder: Path) -> None:
    """Raise GenomeError if the package that reads the only vocabulary in `folder` is missing, or if there is none."""
    if any(folder.glob("vocab.*")):
        return
    for pattern in ("*.model", "tekken.json", "*.tiktoken"):
        for path in sorted(folder.glob(pattern)):
            missing = [name for name, module in _packages(path).items() if not _is_installed(module)]
            if missing:
                raise GenomeError(
                    f"{folder}: reading {path.name} needs {' and '.join(missing)}; run pip install "
                    f"{' '.join(missing)}, or add tokenizer.json to the folder"
                )
            if pattern == "*.tiktoken":
                raise GenomeError(
                    f"{folder}: reading {path.name} needs the model's own code, which is never run; add tokenizer.json"
                )
            return


def _packages(vocabulary: Path) -> dict[str, str]:
    """Return the packages, with their modules, that transformers needs to read a file of a vocabulary."""
    if vocabulary.name == "tekken.json":
        return {"mistral-common": "mistral_common"}
    if vocabulary.suffix != ".model":
        return {}
    with vocabulary.open("rb") as file:  # from tiktoken, it is a list of tokens in base64
        if file.read(1) != b"\n":
            return {"tiktoken": "tiktoken"}
    return {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of rendered conversations.

    If the tokenizer normally adds a BOS token, a sequence begins with exactly one, whether or not the template writes
    it.
    """
    begin = tokenizer.bos_token_id
    if begin is not None and tokenizer("a").input_ids[:1] != [begin]:
        begin = None
    encoded = tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
    return [[begin, *ids] if begin is not None and ids[:1] != [begin] else list(ids) for ids in encoded]
