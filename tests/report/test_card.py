"""Model cards: their contents follow from the run, and their front matter is valid."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from builders import fake_experts, tokenizer_in
from genome.engine.stops import cut
from genome.genotype import PRODUCT, Genotype, Noise, mixture, shared
from genome.report.card import Export, Losses, Report, card, fenced, front_matter, snippet
from genome.scoring.intervals import wilson
from genome.scoring.statistics import Answered
from genome.search.population import Fitness, Individual
from genome.tasks import parse_task
from genome.tasks.chat import parse_chat
from genome.tasks.prompts import prepare

TASK = {
    "kind": "number",
    "category": "Mathematics",
    "source": {"path": "rows.jsonl"},
    "prompt": "{{ question }}\n```\nAnswer: NUMBER\n```",
    "reference": "answer",
    "max_tokens": 7,
}


EXACT = {"layers": {"q": {"rank": 4, "norm": 2.0, "kept": 1.0}}, "dropped": {"tensors": [], "share": 0.0}}
PROVENANCE = (
    {
        "kind": "rsLoRA",
        "source": {"hub": "org/experts", "subfolder": "maths"},
        "revision": "c0ffee",
        "licence": "apache-2.0",
        **EXACT,
    },
    {
        "kind": "full fine-tune",
        "source": {"path": "tuned/law", "rank": 16, "drop": ["embeddings"]},
        "revision": None,
        "licence": None,
        # Of the squared norm 25 the factors keep 0.9² · 16 + 0.5² · 9.
        "layers": {"q": {"rank": 16, "norm": 4.0, "kept": 0.9}, "k": {"rank": 16, "norm": 3.0, "kept": 0.5}},
        "dropped": {"tensors": ["model.embed_tokens.weight"], "share": 0.125},
    },
    {"kind": "LoRA", "source": "a.jsonl + b.jsonl", "revision": None, "licence": "mit", **EXACT},
)


def experts(*changes):
    """Return three experts with their provenance, with the same changes to each."""
    ranks = (8, 16, 4)
    return [
        dataclasses.replace(expert, rank=rank, provenance={**known, **dict(changes)})
        for expert, rank, known in zip(fake_experts(3), ranks, PROVENANCE, strict=True)
    ]


def scored(report, right, n=50):
    scores = tuple([1.0] * right + [0.0] * (n - right))
    row = {"report": report, "test_task": "till", "score": right / n, "n": n, "unparsed": 3}
    return Report(row, Answered("accuracy", tuple(range(n)), scores, (np.array(scores),)))


@pytest.fixture
def export():
    genotype = Genotype((0.7, -0.25, 0.0), (Noise(1, 0.2, 0.003), Noise(2, 1.0, 0.004)))
    best = Individual("g02-child1", genotype, "crossover", ("g01-a", "g01-b"), fitness=Fitness(0.8, {"till": 0.8}))
    return Export(
        label="GENOME+",
        run={"method": "genome_plus", "seed": 1, "population_size": 6},
        settings={"method": "genome_plus", "ensemble": {"k": 2}},
        base={"hub": "org/base", "revision": "abc", "reference": "org/base"},
        rank=8,
        alpha=16,
        targets=["q_proj", "v_proj"],
        best=best,
        members=[best, dataclasses.replace(best, name="g02-other")],
        generations=4,
        evaluations=65,
        experts=experts(),
        tasks=[parse_task("till", TASK)],
        splits=[{"validation": 200, "test": 50, "prompts_on_both_sides": 0}],
        tests=[[scored("best", 30), scored("ensemble", 35)]],
        folder="results/export/till/genome_plus/n6/seed1",
    )


def without_ensemble(export):
    return dataclasses.replace(export, members=[], tests=[export.tests[0][:1]])


def local(export, **more):
    return dataclasses.replace(export, base={"reference": "models/mine"} | more)


def test_front_matter_is_valid_for_the_hub(export):
    from huggingface_hub import ModelCard

    data = ModelCard(card(export)).data
    assert data.base_model == "org/base"
    assert data.library_name == "peft"
    assert "license" not in data.to_dict()
    assert {"lora", "genome"} <= set(data.tags)


def test_front_matter_omits_a_base_that_is_not_on_the_hub(export):
    found = front_matter(local(export))
    assert "base_model" not in yaml.safe_load(found)
    assert "models/mine is not on the hub" in found
    assert "for `models/mine`" in card(local(export))


def test_card_shows_samples_and_interval_of_each_score(export):
    text = card(export)
    assert "| till: this adapter on validation, which chose it | accuracy | 80.0 |  | 200 |  |" in text
    for right, what in ((30, "**this adapter**"), (35, "the ensemble of 2")):
        sure = wilson(right / 50, 50)
        interval = f"{100 * sure.low:.1f} to {100 * sure.high:.1f}"
        assert f"| till: {what} on test | accuracy | {2 * right:.1f} | {interval} | 50 | 3 |" in text


def test_card_names_the_ensemble_as_the_result_if_there_is_one(export):
    assert "The reported result of GENOME+ is its ensemble: 2 adapters answer" in card(export)
    assert "ensemble" not in card(dataclasses.replace(without_ensemble(export), settings={"method": "genome"}))


def test_card_lists_each_expert_with_kind_rank_source_licence_and_hash(export):
    text = card(export)
    for row in (
        f"| e0 | 0.7 | rsLoRA | 8 | org/experts/maths at c0ffee | apache-2.0 | `{0:064x}` |",
        f"| e1 | -0.25 | full fine-tune, 78.0 % kept | 16 | tuned/law | not stated | `{1:064x}` |",
        f"| e2 | 0 | LoRA | 4 | a.jsonl + b.jsonl | mit | `{2:064x}` |",
    ):
        assert row in text
    assert "A LoRA adapter (rank 8, alpha 16, on q_proj, v_proj)" in text


@pytest.mark.parametrize(
    ("tensors", "share", "line"),
    [
        (["a.weight"], 0.125, "Not in expert e1: `a.weight`: 12.5 % of the norm of its change."),
        (
            ["a", "b", "c"],
            None,
            "Not in expert e1: `a`, `b`, `c`: an unknown share of the norm of its change.",
        ),
        (list("abcde"), 0.0004, "Not in expert e1: `a`, `b`, `c` and 2 more: 0.0 % of the norm of its change."),
    ],
)
def test_card_says_what_was_dropped_from_an_expert(export, tensors, share, line):
    made = experts()
    known = {**made[1].provenance, "dropped": {"tensors": tensors, "share": share}}
    made[1] = dataclasses.replace(made[1], provenance=known)
    text = card(dataclasses.replace(export, experts=made))
    assert [each for each in text.splitlines() if "Not in expert" in each] == [line]


def test_a_licence_is_stated_if_all_experts_state_it(export):
    licences = [yaml.safe_load(front_matter(export)).get("license")]
    for licence in (None, "gemma"):
        same = dataclasses.replace(export, experts=experts(("licence", licence)))
        licences.append(yaml.safe_load(front_matter(same)).get("license"))
        assert ("All experts state the licence gemma." in card(same)) == (licence == "gemma")
        assert ("is not settled here" in card(same)) == (licence is None)
    assert licences == [None, None, "gemma"]


def test_card_shows_number_and_deviation_of_noise_terms(export):
    assert "2 terms of seeded noise, together with a standard deviation of 0.0042 a weight" in card(export)
    quiet = dataclasses.replace(export.best, genotype=Genotype((1.0, 0.0, 0.0)))
    assert "No noise was added" in card(dataclasses.replace(export, best=quiet))


def test_deviation_of_noise_equals_its_sample_deviation(export):
    from genome.lora.noise import unit_noise

    drawn = sum(
        term.coefficient * unit_noise(term.seed, term.density, "w", 200_000) for term in export.best.genotype.noise
    )
    assert drawn.std() == pytest.approx(0.0042, rel=0.02)


def test_card_contains_the_command_and_the_data(export):
    text = card(export)
    assert "genome materialise results/export/till/genome_plus/n6/seed1/genotype.json rebuilt --member best" in text
    assert '| till | 200 samples | 50 samples | `{"path": "rows.jsonl"}` |' in text
    assert "stand on both sides" not in text
    split = {**export.splits[0], "prompts_on_both_sides": 2}
    assert "2 prompts of till stand on both sides." in card(dataclasses.replace(export, splits=[split]))


def test_a_pinned_base_is_loaded_at_its_commit(export):
    assert snippet(export).count('revision="abc"') == 2
    assert "revision" not in snippet(local(export))
    assert "max_new_tokens=7" in snippet(export)


TEMPLATE = (
    "{{ bos_token }} {% if strftime_now is defined %}{{ strftime_now('%d %B %Y') }}{% endif %} "
    "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}model {% if thinking is defined and not thinking %}is{% endif %}{% endif %}"
)


@pytest.mark.parametrize(
    "chat",
    [
        {"stop": ["two\n"]},
        {"system": 'Say "two".\n', "date": "2025-01-31", "assistant_prefix": " what: "},
        {"template_arguments": {"thinking": False}, "date": "2025-01-31", "stop": ["is", "what"]},
        {"template": "rag", "date": "2025-01-31"},
        {"template_file": "chat.jinja", "assistant_prefix": "is"},
        {"plain": True, "assistant_prefix": "is", "stop": ["Q:"]},
        {"system": "Be brief.", "template_file": "chat.jinja"},
    ],
)
@pytest.mark.parametrize("habit", [False, True])
def test_snippet_renders_prompts_and_cuts_responses_as_the_chat_says(
    export, tmp_path, monkeypatch, capsys, chat, habit
):
    import peft
    import transformers

    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.jinja").write_text("mine {{ messages[-1].content }} {{ messages[0].content }} is")
    templates = {
        "default": TEMPLATE.replace("{{ strftime_now('%d %B %Y') }}", "is") if "date" not in chat else TEMPLATE
    }
    folder = tokenizer_in(tmp_path / "base", {**templates, "rag": "rag" + TEMPLATE}, habit=habit)
    asked = {}

    class Network:
        def generate(self, input_ids, **given):
            asked.update(given, tokens=input_ids[0].tolist())
            answer = transformers.AutoTokenizer.from_pretrained(folder)("model two is what two").input_ids
            return torch.cat([input_ids, torch.tensor([answer])], 1)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda *_, **__: None)
    monkeypatch.setattr(peft.PeftModel, "from_pretrained", lambda *_: Network())
    made = dataclasses.replace(
        local(export, reference=str(folder)), tasks=[parse_task("till", TASK | {"prompt": "{{ q }}", "chat": chat})]
    )
    exec(snippet(made), {})
    row = {"id": "r", "q": "Your question, in the form below", "answer": 2}
    [sample] = prepare(made.tasks[0], [row], folder, parse_chat(chat))
    assert asked["tokens"] == sample["tokens"]
    assert asked["max_new_tokens"] == 7
    stops = chat.get("stop", [])
    assert asked.get("stop_strings", []) == stops
    whole = transformers.AutoTokenizer.from_pretrained(folder).decode(
        transformers.AutoTokenizer.from_pretrained(folder)("model two is what two").input_ids, skip_special_tokens=True
    )
    assert capsys.readouterr().out == cut(whole, stops) + "\n"
    assert yaml.safe_dump(chat, sort_keys=True) in card(made)


@pytest.mark.parametrize(
    "chat",
    [
        {},
        {"system": "two", "date": "2025-01-31", "assistant_prefix": "what:"},
        {"template_arguments": {"thinking": False}, "assistant_prefix": "what "},
        {"plain": True},
        {"plain": True, "assistant_prefix": "is"},
    ],
)
@pytest.mark.parametrize("habit", [False, True])
def test_snippet_compares_the_options_as_tokens_behind_the_prompt(export, tmp_path, monkeypatch, capsys, chat, habit):
    import peft
    import transformers

    folder = tokenizer_in(tmp_path / "base", {"default": TEMPLATE}, habit=habit)
    asked = []

    class Network:
        def __call__(self, tokens):
            asked.append(tokens[0].tolist())
            return SimpleNamespace(logits=torch.zeros(1, tokens.shape[1], 100))

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda *_, **__: None)
    monkeypatch.setattr(peft.PeftModel, "from_pretrained", lambda *_: Network())
    kind = {"kind": "label", "labels": {"a": "is", "b": "what two"}, "answer_by": "likelihood"}
    task = parse_task("till", {**TASK, **kind, "prompt": "{{ q }}", "reference": "answer", "chat": chat})
    made = dataclasses.replace(local(export, reference=str(folder)), tasks=[task])
    exec(snippet(made), {})
    row = {"id": "r", "q": "Your question, in the form below", "answer": "is"}
    [sample] = prepare(task, [row], folder, parse_chat(chat))
    assert asked == [sample["tokens"] + each["tokens"] for each in sample["continuations"]]
    assert capsys.readouterr().out == "is\n"


def test_card_shows_no_chat_if_the_template_is_used_as_it_is(export):
    assert "chat" not in card(export).replace("apply_chat_template", "")


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({}, ('options = ["one option", "another option"]', "scores.append(float(found.sum()))")),
        ({"likelihood_of": "letter"}, ('options = ["A", "B"]',)),
        ({"likelihood_per": "token"}, ("float(found.sum() / len(found))",)),
        (
            {"likelihood_per": "byte", "neutral_prompt": "Answer:", "kind": "label", "labels": ["joy", "fear"]},
            (
                'options = ["joy", "fear"]',
                'float((found.sum() - log_probabilities("Answer:", option).sum()) / len(option.encode()))',
            ),
        ),
    ],
)
def test_snippet_of_a_task_answered_by_likelihood_compares_options(export, fields, parts):
    definition = {"kind": "choice", "options": "choices", "answer_by": "likelihood", **fields}
    task = parse_task("till", {**TASK, **definition})
    found = snippet(dataclasses.replace(export, tasks=[task]))
    compile(found, "snippet", "exec")
    assert "generate(" not in found
    assert all(part in found for part in parts)


def test_card_warns_about_generated_tasks(export):
    assert "no evidence about language models" in card(local(export, generator="micro"))
    assert "no evidence" not in card(export)


def test_card_of_a_method_without_seed_or_population(export):
    run = {"method": "best_single", "seed": None, "population_size": None}
    text = card(dataclasses.replace(without_ensemble(export), run=run, label="Best Single"))
    assert "with 65 candidates scored" in text
    assert "None" not in text
    assert "what another draw of validation samples would give" in text


def test_a_prompt_with_backticks_stays_one_block(export):
    assert fenced("a\n```\nb\n```", "jinja") == "````jinja\na\n```\nb\n```\n````"
    assert "````jinja\n{{ question }}\n```" in card(export)


def test_card_is_the_same_twice_and_has_no_double_blank_lines(export):
    for made in (export, without_ensemble(export)):
        assert card(made) == card(made)
        assert "\n\n\n" not in card(made)
        assert card(made).endswith(".\n")


def in_space(export, space, **changes):
    best = dataclasses.replace(export.best, genotype=mixture((0.5, -0.25, 0.0), space))
    return dataclasses.replace(export, best=best, **changes)


def test_card_of_merged_products_explains_rank_and_compression(export):
    text = card(in_space(export, PRODUCT, rank=28, alpha=56))
    assert "(rank 28, alpha 56," in text
    assert "`--rank 16` behind the command below" in text
    assert "summed separately" not in text
    assert "--rank" not in card(export)


def test_card_of_a_shared_space_says_what_its_basis_loses(export):
    text = card(in_space(export, shared(8), losses=Losses(shared=0.0625)))
    assert "in a joint basis of rank 8, which loses 6.2 % of the norm of this sum" in text
    assert "summed separately" not in text


def test_card_of_a_compressed_adapter_says_what_was_scored_and_how_to_rebuild_it(export):
    text = card(in_space(export, PRODUCT, rank=8, losses=Losses(None, 28, 0.251)))
    assert "those of the adapter of rank 28 that was evolved. This one is the nearest of rank 8" in text
    assert "loses\n25.1 % of the norm of the update" in text
    assert "genotype.json rebuilt --member best --rank 8\n" in text
    assert "behind the command below" not in text
