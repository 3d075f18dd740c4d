"""Time of scoring and splitting real rows: `python benchmarks/scoring.py FOLDER_OF_DATA_SETS`.

Responses are gold answers in a model's phrasing. One in twelve MATH answers belongs to another problem, and one in
fifty MBPP programs never ends.
"""

import sys
import time
from pathlib import Path

from genome.scoring.responses import find_task
from genome.tasks.prompts import evaluate, facts
from genome.tasks.scoring import extract, judge
from genome.tasks.splits import read_rows, split

TASKS = ("mmlu", "mmlu_pro", "gsm8k", "math", "mgsm", "flores37", "flores101", "arc_c", "csqa", "bbh", "drop")
TASKS += ("emorynlp", "meld", "mbpp")


def timed(label, function, *arguments):
    """Print the time of a call, and return its result."""
    started = time.perf_counter()
    result = function(*arguments)
    print(f"{label:55} {time.perf_counter() - started:6.2f} s", flush=True)
    return result


def scored(task, rows, responses):
    """Return the metric of responses to rows."""
    samples = [facts(task, row) for row in rows]
    answers = [extract(task, sample, text) for sample, text in zip(samples, responses, strict=True)]
    return judge(task, samples, [answers])[0].value


def main(folder):
    """Split every data set, then score the three kinds of tasks whose scoring is slow."""
    tests = {}
    for name in TASKS:
        task = find_task(name)
        _, tests[name] = timed(f"read and split {name}", lambda task=task: split(task, read_rows(task, folder)))
    rows = tests["gsm8k"]
    parts = [row["answer"].split("####") for row in rows]
    texts = [f"Step by step. {reasoning}\nAnswer: {answer}" for reasoning, answer in parts]
    print(timed(f"score {len(rows)} GSM8K responses", scored, find_task("gsm8k"), rows, texts))
    rows, task = tests["math"], find_task("math")
    golds = [evaluate(task, row, "reference") for row in rows]
    texts = [rf"So we get $\boxed{{{golds[i - (i % 12 == 0)]}}}$." for i in range(len(rows))]
    print(timed(f"score {len(rows)} MATH responses", scored, task, rows, texts))
    rows = tests["mbpp"]
    programs = ["while True: pass" if i % 50 == 0 else row["code"] for i, row in enumerate(rows)]
    texts = [f"```python\n{program}\n```" for program in programs]
    print(timed(f"score {len(rows)} MBPP programs", scored, find_task("mbpp"), rows, texts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
