import datetime
import json

import pytest

from builders import tokenizer_in
from genome.errors import GenomeError
from genome.tasks import parse_task
from genome.tasks.chat import (
    DATE,
    Chat,
    dialogue_texts,
    load_tokenizer,
    opens_thinking,
    parse_chat,
    prints_date,
    prompt_texts,
    token_ids,
)
from genome.tasks.prompts import prepare

TEMPLATES = {
    "with": "{{ bos_token }}user {{ messages[0]['content'] }} {% if add_generation_prompt %}model{% endif %}",
    "without": "user {{ messages[0]['content'] }} {% if add_generation_prompt %}model{% endif %}",
}
DATED = "{{ strftime_now('%d %B %Y') }} {% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ messages[0].content }}"
)
WANTS_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('Begin with a system turn') }}{% endif %}"
    "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
)
THINKS = "{{ messages[0].content }} {% if enable_thinking is defined and not enable_thinking %}is{% endif %}"
TASK = parse_task(
    "sums", {"kind": "number", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a", "max_tokens": 4}
)


def texts(folder, prompts=("what",), chat=None):
    return prompt_texts(load_tokenizer(folder), prompts, chat or Chat())


def tokens(folder, prompts):
    tokenizer = load_tokenizer(folder)
    return token_ids(tokenizer, prompt_texts(tokenizer, prompts, Chat()))


def refusal(function, *arguments):
    with pytest.raises(GenomeError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("template", TEMPLATES)
def test_token_ids_has_exactly_one_bos(tmp_path, template):
    folder = tokenizer_in(tmp_path, TEMPLATES[template], habit=True)
    assert tokens(folder, ["what is two", "two"]) == [[1, 2, 4, 5, 6, 3], [1, 2, 6, 3]]


def test_token_ids_adds_no_bos_if_the_tokenizer_does_not(tmp_path):
    folder = tokenizer_in(tmp_path, TEMPLATES["without"])
    assert tokens(folder, ["two"]) == [[2, 6, 3]]
    assert tokens(folder, []) == []


def test_prompt_texts_prints_a_fixed_date(tmp_path):
    folder = tokenizer_in(tmp_path, DATED)
    assert texts(folder) == ["26 July 2024 user what "]
    assert prints_date(load_tokenizer(folder), Chat())
    [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], folder)
    assert sample["date"] == "2024-07-26" == DATE.isoformat()
    assert datetime.date.today() != DATE
    [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], tokenizer_in(tmp_path / "b", TEMPLATES["with"]))
    assert "date" not in sample


def test_prompt_texts_prints_the_date_of_the_settings(tmp_path):
    folder = tokenizer_in(tmp_path, DATED)
    for day in ("2025-01-31", "2024-07-26", "2025-01-31"):  # transformers keeps the compiled template
        chat = parse_chat({"date": day})
        shown = datetime.date.fromisoformat(day).strftime("%d %B %Y")
        assert texts(folder, chat=chat) == [f"{shown} user what "]
        [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], folder, chat)
        assert sample["date"] == day


def test_assistant_prefix_follows_the_generation_prompt(tmp_path):
    folder = tokenizer_in(tmp_path / "b", TEMPLATES["with"])
    chat = parse_chat({"assistant_prefix": " is"})
    assert texts(folder, chat=chat) == ["<bos>user what model is"]
    [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], folder, chat)
    assert sample["tokens"] == [1, 2, 4, 3, 5]
    plain = parse_chat({"plain": True, "assistant_prefix": "is"})
    assert texts(tokenizer_in(tmp_path / "plain", None), chat=plain) == ["what\nis"]


QWEN3 = """\
{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
        {{- content.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""
R1 = """\
{{ bos_token }}{% for message in messages %}\
{% if message.role == 'user' %}{{ '<｜User｜>' + message.content }}{% endif %}\
{% if message.role == 'assistant' %}{% set content = message.content %}\
{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}\
{{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"""
QUIET = {"template_arguments": {"enable_thinking": False}}
CLOSED = {"assistant_prefix": "\n</think>\n\n"}


@pytest.mark.parametrize(
    ("template", "chat", "end"),
    [
        (QWEN3, None, "<|im_start|>assistant\n"),
        (QWEN3, QUIET, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        (QWEN3, {"assistant_prefix": "Answer:"}, "<|im_start|>assistant\nAnswer:"),
        (QWEN3, QUIET | {"assistant_prefix": "Answer:"}, "<think>\n\n</think>\n\nAnswer:"),
        (R1, None, "<｜Assistant｜><think>\n"),
        (R1, CLOSED, "<｜Assistant｜><think>\n\n</think>\n\n"),
    ],
)
def test_reasoning_models_are_asked_as_the_settings_say(tmp_path, template, chat, end):
    folder = tokenizer_in(tmp_path, template)
    assert texts(folder, chat=parse_chat(chat))[0].endswith(end)
    [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], folder, parse_chat(chat))
    # Where reasoning is open, what a response lacks to close it makes it unfinished.
    assert sample.get("thinking", False) == (template == R1 and chat is None)


def test_a_question_that_names_the_tags_of_reasoning_opens_none(tmp_path):
    tokenizer = load_tokenizer(tokenizer_in(tmp_path, QWEN3))
    asked = "Put your reasoning after <think>"
    assert not opens_thinking(*prompt_texts(tokenizer, [asked], Chat()), asked)


@pytest.mark.parametrize("response", ["two", "<think>\nis\n</think>\n\ntwo"])
@pytest.mark.parametrize(
    ("template", "chat"),
    [
        (TEMPLATES["with"] + "{% if messages[1] %}model {{ messages[1].content | trim }} end{% endif %}", None),
        (
            TEMPLATES["with"] + "{% if messages[1] %}model {{ messages[1].content }} end{% endif %}",
            {"assistant_prefix": "A"},
        ),
        (QWEN3, QUIET),
        (QWEN3, {"assistant_prefix": "Answer:"}),
        (R1, CLOSED),
        (None, {"plain": True, "assistant_prefix": "Answer: "}),
    ],
)
def test_dialogues_continue_the_prompt_with_the_response(tmp_path, template, chat, response):
    tokenizer, chat = load_tokenizer(tokenizer_in(tmp_path, template)), parse_chat(chat)
    [(prompt, rest)] = dialogue_texts(tokenizer, ["what"], [response], chat)
    assert [prompt] == prompt_texts(tokenizer, ["what"], chat)
    assert rest.lstrip().startswith(response)
    end = {QWEN3: "<|im_end|>\n", R1: "<｜end▁of▁sentence｜>", None: response}.get(template, " end")
    assert rest.endswith(end)


def test_dialogues_of_an_open_reasoning_close_it(tmp_path):
    tokenizer = load_tokenizer(tokenizer_in(tmp_path / "r1", R1))
    [(_, rest)] = dialogue_texts(tokenizer, ["what"], ["is\n</think>\n\ntwo"], Chat())
    assert rest == "is\n</think>\n\ntwo<｜end▁of▁sentence｜>"
    said = refusal(dialogue_texts, tokenizer, ["what"], ["two"], Chat())
    assert "prompts end in <think>, and a response of the corpus does not close it" in said
    assert "bases.r1.chat" in said


def test_prompt_texts_refuses_a_template_with_random(tmp_path):
    assert "No filter named 'random'" in refusal(
        texts, tokenizer_in(tmp_path, "{{ ['a', 'b'] | random }} {{ messages[0].content }}")
    )


def test_refusal_of_a_template_names_folder_and_remedy(tmp_path):
    folder = tokenizer_in(tmp_path / "gemma", SYSTEM)
    assert texts(folder) == ["what"]
    said = refusal(texts, folder, ["what"], Chat(system="Be brief."))
    assert said.startswith(f"{folder}: its chat template refuses a system and a user turn (System role not supported)")
    assert "bases.gemma.chat" in said


def test_template_gets_the_system_turn_of_the_config(tmp_path):
    folder = tokenizer_in(tmp_path / "b", WANTS_SYSTEM)
    assert "a user turn without a system turn (Begin with a system turn)" in refusal(texts, folder)
    chat = parse_chat({"system": "Be brief.", "template_arguments": None, "stop": ["Q:"]})
    assert texts(folder, chat=chat) == ["system Be brief. user what "]


@pytest.mark.parametrize(
    "template",
    ["{{ messages[0].content[0].text }}", "{{ 1 // 0 }}", "{{ messages.x.y }}", "{{ 'a' * 10**10 }}", "{{ 1 + 'a' }}"],
)
def test_any_error_of_a_template_is_one_line(tmp_path, template):
    assert str(tmp_path) in refusal(texts, tokenizer_in(tmp_path, template))


def test_template_that_leaves_out_a_text_is_refused(tmp_path):
    assert "leaves out the user's text" in refusal(texts, tokenizer_in(tmp_path / "a", "{{ messages[1] }} model"))
    folder = tokenizer_in(tmp_path / "b", "{{ messages[-1].content }}")
    assert texts(folder) == ["what"]
    assert "leaves out the system's text" in refusal(texts, folder, ["what"], Chat(system="Be brief."))


def test_chat_arguments_reach_the_template(tmp_path):
    folder = tokenizer_in(tmp_path, THINKS)
    assert texts(folder) == ["what "]
    assert texts(folder, chat=parse_chat({"template_arguments": {"enable_thinking": False}})) == ["what is"]


def test_missing_template_is_refused_unless_plain(tmp_path):
    folder = tokenizer_in(tmp_path / "base", None)
    said = refusal(texts, folder)
    assert f"{folder}: the tokenizer has no chat template; in the config, set bases.base.chat to plain" in said
    assert "or to {template_file: FILE}" in said
    plain = parse_chat("plain")
    assert texts(folder, ["what is"], plain) == ["what is\n"]
    assert dialogue_texts(load_tokenizer(folder), ["what is"], ["two"], plain) == [("what is\n", "two")]
    [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], folder, plain)
    assert sample["tokens"] == [4]


def test_chat_template_is_chosen_by_name(tmp_path):
    folder = tokenizer_in(tmp_path, {"default": "a {{ messages[0].content }}", "rag": "b {{ messages[0].content }}"})
    assert texts(folder) == ["a what"]
    assert texts(folder, chat=Chat(template="rag")) == ["b what"]
    assert "no chat template 'tools'; " in refusal(texts, folder, ["what"], Chat(template="tools"))
    other = tokenizer_in(tmp_path / "other", {"rag": "b {{ messages[0].content }}"})
    assert "to one of rag" in refusal(texts, other)


@pytest.mark.parametrize("own", [None, "mine {{ messages[0].content }}"])
def test_chat_template_is_read_from_a_file(tmp_path, monkeypatch, own):
    monkeypatch.chdir(tmp_path)
    folder = tokenizer_in(tmp_path / "base", own)
    (tmp_path / "chat.jinja").write_text("{% for m in messages %}{{ m.role }} {{ m.content }}\n{% endfor %}is")
    chat = parse_chat({"template_file": "chat.jinja", "system": "Be brief."})
    assert texts(folder, chat=chat) == ["system Be brief.\nuser what\nis"]
    tokenizer = load_tokenizer(folder)
    [(prompt, _)] = dialogue_texts(tokenizer, ["what"], ["two"], chat)
    assert prompt == "system Be brief.\nuser what\nis"
    [sample] = prepare(TASK, [{"id": "r", "q": "what", "a": 2}], folder, parse_chat({"template_file": "chat.jinja"}))
    assert sample["tokens"][-1] == 5
    assert not prints_date(tokenizer, chat)
    (tmp_path / "chat.jinja").write_text(DATED)
    assert prints_date(tokenizer, chat)


def test_unusable_chat_template_file_is_one_line(tmp_path):
    folder = tokenizer_in(tmp_path / "base", None)
    file = tmp_path / "chat.jinja"
    chat = parse_chat({"template_file": str(file)})
    assert refusal(texts, folder, ["what"], chat) == f"{file}: no such file"
    for content, said in (
        (b"", f"{file}: an empty chat template"),
        (b"\xff\xfe", f"{file}, line 1: not UTF-8"),
        (b"a\n{% for %}", f"{file}: this chat template is not valid (line 2: "),
        (b"say {{ 1 }}", f"{file}: this chat template leaves out the user's text"),
        (b"{{ raise_exception('no') }}", f"{file}: this chat template refuses a user turn without a system turn (no)"),
    ):
        file.write_bytes(content)
        assert refusal(texts, folder, ["what"], chat).startswith(said)


def test_broken_template_of_a_base_is_one_line(tmp_path):
    folder = tokenizer_in(tmp_path / "base", "{% if %}")
    assert refusal(texts, folder).startswith(f"{folder}: its chat template is not valid (line 1: ")


def test_load_tokenizer_reads_chat_template_json(tmp_path):
    folder = tokenizer_in(tmp_path, None)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "old {{ messages[0].content }}"}))
    assert texts(folder) == ["old what"]


def byte_pairs(folder, **files):
    """Write vocab.json and merges.txt of a byte-level tokenizer, and other files."""
    from tokenizers import models, pre_tokenizers

    folder.mkdir()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    models.BPE({letter: i for i, letter in enumerate([*letters, "ab"])}, [("a", "b")]).save(str(folder))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "starcoder2", "opt"])
def test_load_tokenizer_accepts_vocabulary_and_merges(tmp_path, family):
    folder = byte_pairs(tmp_path / "b", config__json={"model_type": family})
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("abc").input_ids) == ["ab", "c"]


def test_load_tokenizer_refuses_unusable_tokenizers(tmp_path):
    assert f"{tmp_path}: no tokenizer here" in refusal(load_tokenizer, tmp_path)
    folder = byte_pairs(tmp_path / "half", config__json={"model_type": "gpt2"})
    (folder / "merges.txt").unlink()
    assert "vocab.json without merges.txt" in refusal(load_tokenizer, folder)
    folder = byte_pairs(tmp_path / "damaged", tokenizer__json={"a": 1}, config__json={"model_type": "gpt2"})
    assert f"{folder}: the tokenizer cannot be read" in refusal(load_tokenizer, folder)
    own = {"tokenizer_class": "Foo", "auto_map": {"AutoTokenizer": ["foo.Foo", None]}}
    folder = byte_pairs(tmp_path / "own", tokenizer_config__json=own, config__json={"model_type": "foo"})
    assert f"{folder}: the tokenizer cannot be read (it needs remote code, which is never run)" in refusal(
        load_tokenizer, folder
    )


@pytest.mark.parametrize(
    ("name", "content", "installed", "missing"),
    [
        ("tokenizer.model", b"\n\x0e\n\x05<unk>", (), "sentencepiece and protobuf"),
        ("tokenizer.model", b"\n\x0e\n\x05<unk>", ("sentencepiece",), "protobuf"),
        ("tokenizer.model", b"YQ== 0\n", (), "tiktoken"),
        ("tekken.json", b"{}", (), "mistral-common"),
    ],
)
def test_load_tokenizer_names_a_missing_package(tmp_path, monkeypatch, name, content, installed, missing):
    monkeypatch.setattr("genome.tasks.chat._is_installed", lambda module: module in installed)
    (tmp_path / name).write_bytes(content)
    said = refusal(load_tokenizer, tmp_path)
    packages = missing.replace(" and ", " ")
    assert said == (
        f"{tmp_path}: reading {name} needs {missing}; run pip install {packages}, or add tokenizer.json to the folder"
    )


def test_load_tokenizer_refuses_a_vocabulary_that_only_remote_code_reads(tmp_path):
    (tmp_path / "qwen.tiktoken").write_bytes(b"YQ== 0\n")
    said = refusal(load_tokenizer, tmp_path)
    assert "reading qwen.tiktoken needs the model's own code, which is never run; add tokenizer.json" in said


LINES = [f"the number {n} and word {chr(97 + n % 26) * 3}" for n in range(300)]


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
@pytest.mark.parametrize("family", ["llama", "mistral", "phi3", "gemma2", "gemma3_text", None])
def test_load_tokenizer_reads_a_sentencepiece_model_alone(tmp_path, family, algorithm):
    import sentencepiece

    gemma = str(family).startswith("gemma")
    ids = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "pad_piece": "<pad>"} if gemma else {}
    marks = {"eos_piece": "<eos>", "bos_piece": "<bos>", "add_dummy_prefix": False} if gemma else {}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=80,
        model_type=algorithm,
        minloglevel=2,
        **ids,
        **marks,
    )
    (tmp_path / "tokenizer.vocab").unlink()
    named = {} if family else {"tokenizer_class": "LlamaTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named | {"add_bos_token": True}))
    if family:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    tokenizer = load_tokenizer(tmp_path)
    own = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    for line in ["the number 5", "word and number 1234567890"]:
        tokens = tokenizer(line, add_special_tokens=False).input_ids
        if not gemma or algorithm == "bpe":  # Gemma's models are byte pairs
            assert tokens == own.encode(line)
        assert tokenizer.decode(tokens) == line
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == ((2, 1) if gemma else (1, 2))
    prompts = prompt_texts(tokenizer, ["the number 5"], Chat(plain=True))
    [tokens] = token_ids(tokenizer, prompts)
    assert tokens[0] == tokenizer.bos_token_id


def test_load_tokenizer_refuses_a_tokenizer_without_words(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert "no tokenizer here" in refusal(load_tokenizer, tmp_path)
    (tmp_path / "vocab.txt").write_text("a\n")
    assert "has no words" in refusal(load_tokenizer, tmp_path)
