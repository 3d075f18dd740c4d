"""Tasks of lm-evaluation-harness in its usual forms, each a YAML file with made-up rows, written into a folder."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tasks.harness_rows import (
    CAPITALS,
    Row,
    causes,
    goals,
    minimal_pairs,
    passages,
    pronouns,
    rows_of_capitals,
    stories,
    sums,
)

ROWS = 20

UTILS = '''"""Functions that the tasks of this folder name."""


def processed(rows):
    """Return rows in the form of HellaSwag, cleaned as there."""

    def row(each):
        text = each["ctx"].replace(" [title]", ". ").replace("  ", " ").strip()
        return {"query": f"{each['activity']}: {text}", "choices": each["endings"], "gold": int(each["label"])}

    return rows.map(row)


def place_of_answer(row):
    return {"1": 0, "2": 1}[row["answer"]]


def rest_of_sentence(row):
    return row["sentence"][row["sentence"].index("_") + 1 :].strip()


def begun_sentences(row):
    begin = row["sentence"][: row["sentence"].index("_")]
    return [begin + row["option1"], begin + row["option2"]]


def cause_or_effect(row):
    return row["premise"].strip()[:-1] + {"cause": " because", "effect": " so"}[row["question"]]


def lowered(row):
    return [each[:1].lower() + each[1:] for each in (row["choice1"], row["choice2"])]


def words_in_common(row, results):
    said, right = set(results[0].lower().split()), set(row["answer"].lower().split())
    both = len(said & right)
    return {"em": float(said == right), "f1": 2 * both / (len(said) + len(right)) if both else 0.0}
'''


def metrics(*names: str, **settings: Any) -> dict[str, Any]:
    return {"metric_list": [{"metric": n, "aggregation": "mean", "higher_is_better": True, **settings} for n in names]}


CHOICE = {"output_type": "multiple_choice", "test_split": "test"}
GENERATED = {"output_type": "generate_until", "test_split": "test"}

TASKS: dict[str, tuple[Mapping[str, Sequence[Row]], dict[str, Any]]] = {}
"""By name: the rows of each split, and the fields of the YAML file."""


def _define() -> None:
    drawn = random.Random(5)
    capitals, shown = rows_of_capitals(drawn, ROWS), rows_of_capitals(drawn, len(CAPITALS))[ROWS:]
    TASKS["own_arc"] = (
        {"test": capitals},
        {
            **CHOICE,
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{choices.label.index(answerKey)}}",
            "doc_to_choice": "{{choices.text}}",
            **metrics("acc", "acc_norm"),
        },
    )
    TASKS["own_hellaswag"] = (
        {"validation": stories(drawn, ROWS)},
        {
            "output_type": "multiple_choice",
            "validation_split": "validation",
            "process_docs": "!function utils.processed",
            "doc_to_text": "{{query}}",
            "doc_to_target": "{{gold}}",
            "doc_to_choice": "choices",
            **metrics("acc", "acc_norm"),
        },
    )
    TASKS["own_boolq"] = (
        {"test": passages(drawn, ROWS)},
        {
            **CHOICE,
            "doc_to_text": "{{passage}}\nQuestion: {{question}}?\nAnswer:",
            "doc_to_target": "label",
            "doc_to_choice": ["no", "yes"],
            **metrics("acc"),
        },
    )
    TASKS["own_mmlu"] = (
        {"test": capitals, "dev": shown},
        {
            **CHOICE,
            "fewshot_split": "dev",
            "fewshot_config": {"sampler": "first_n"},
            "num_fewshot": 2,
            "description": "The following are multiple choice questions (with answers) about capitals.\n\n",
            "doc_to_text": "{{question}}\nA. {{options[0]}}\nB. {{options[1]}}\nC. {{options[2]}}\nD. {{options[3]}}\n"
            "Answer:",
            "doc_to_target": "place",
            "doc_to_choice": ["A", "B", "C", "D"],
            **metrics("acc"),
        },
    )
    TASKS["own_winogrande"] = (
        {"test": pronouns(drawn, ROWS)},
        {
            **CHOICE,
            "doc_to_text": "!function utils.place_of_answer",
            "doc_to_target": "!function utils.rest_of_sentence",
            "doc_to_choice": "!function utils.begun_sentences",
            **metrics("acc"),
        },
    )
    TASKS["own_piqa"] = (
        {"test": goals(drawn, ROWS), "train": goals(drawn, 12)},
        {
            **CHOICE,
            "training_split": "train",
            "num_fewshot": 1,
            "doc_to_text": "Question: {{goal}}\nAnswer:",
            "doc_to_target": "label",
            "doc_to_choice": "{{[sol1, sol2]}}",
            **metrics("acc", "acc_norm"),
        },
    )
    TASKS["own_copa"] = (
        {"test": causes(drawn, ROWS)},
        {
            **CHOICE,
            "doc_to_text": "!function utils.cause_or_effect",
            "doc_to_target": "label",
            "doc_to_choice": "!function utils.lowered",
            **metrics("acc"),
        },
    )
    TASKS["own_truthfulqa"] = (
        {"test": capitals},
        {
            **CHOICE,
            "doc_to_text": "Q: Who are you?\nA: I am a library.\n\nQ: {{question}}\nA:",
            "doc_to_target": 0,
            "doc_to_choice": "{{[right] + wrong}}",
            **metrics("acc", "acc_bytes"),
        },
    )
    TASKS["own_sciq"] = (
        {"test": capitals},
        {
            **CHOICE,
            "doc_to_text": "{{support.lstrip()}}\nQuestion: {{question}}\nAnswer:",
            "doc_to_target": 3,
            "doc_to_choice": "{{wrong + [right]}}",
            **metrics("acc", "acc_mutual_info"),
        },
    )
    TASKS["own_blimp"] = (
        {"test": minimal_pairs(drawn, ROWS)},
        {
            **CHOICE,
            "doc_to_text": "",
            "doc_to_target": 0,
            "doc_to_choice": "{{[good, bad]}}",
            "target_delimiter": "",
            **metrics("acc"),
        },
    )
    TASKS["own_gsm8k"] = (
        {"test": sums(drawn, ROWS), "train": sums(drawn, 12)},
        {
            **GENERATED,
            "training_split": "train",
            "fewshot_split": "train",
            "num_fewshot": 3,
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["Question:", "</s>"], "do_sample": False, "max_gen_toks": 48},
            "filter_list": [
                {
                    "name": "strict-match",
                    "filter": [
                        {"function": "regex", "regex_pattern": r"#### (\-?[0-9\.\,]+)"},
                        {"function": "take_first"},
                    ],
                },
                {
                    "name": "flexible-extract",
                    "filter": [
                        {
                            "function": "regex",
                            "group_select": -1,
                            "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
                        },
                        {"function": "take_first"},
                    ],
                },
            ],
            **metrics(
                "exact_match",
                ignore_case=True,
                ignore_punctuation=False,
                regexes_to_ignore=[",", r"\$", "(?s).*#### ", r"\.$"],
            ),
        },
    )
    TASKS["own_triviaqa"] = (
        {"test": capitals, "train": shown},
        {
            **GENERATED,
            "training_split": "train",
            "num_fewshot": 2,
            "doc_to_text": "Question: {{question}}?\nAnswer:",
            "doc_to_target": "{{names}}",
            "generation_kwargs": {"until": ["\n", ".", ","], "max_gen_toks": 12},
            "filter_list": [
                {"name": "remove_whitespace", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}
            ],
            **metrics("exact_match", ignore_case=True, ignore_punctuation=True),
        },
    )
    TASKS["own_words"] = (
        {"test": [{"question": row["question"], "answer": row["right"]} for row in capitals]},
        {
            **GENERATED,
            "doc_to_text": "{{question}} It is",
            "doc_to_target": "answer",
            "process_results": "!function utils.words_in_common",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
            **metrics("em", "f1"),
        },
    )


_define()


def write_tasks(folder: Path, *names: str) -> Path:
    """Write tasks (all of them, if none is named), their functions and rows into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "utils.py").write_text(UTILS)
    for name in names or TASKS:
        splits, fields = TASKS[name]
        files = {split: str(folder / f"{name}_{split}.jsonl") for split in splits}
        for split, file in files.items():
            Path(file).write_text("".join(json.dumps(row) + "\n" for row in splits[split]))
        text = yaml.safe_dump(
            {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}, **fields}, sort_keys=False
        )
        # YAML tags cannot be dumped as text.
        for function in {value for value in fields.values() if str(value).startswith("!function")}:
            text = text.replace(f"'{function}'", function)
        (folder / f"{name}.yaml").write_text(text)
    return folder
