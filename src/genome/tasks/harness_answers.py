"""Generated responses to a task of lm-evaluation-harness: read by its filters, and scored by its `process_results`.

The harness's task is loaded once per process, from its file alone: its documents are in the samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from genome.errors import GenomeError
from genome.tasks.harness import asking, harness_folder, harness_module, own_folder
from genome.tasks.task import Task

Sample = Mapping[str, Any]

_LOADED: dict[tuple[str, ...], Any] = {}


def read_answer(task: Task, sample: Sample, response: str) -> str | None:
    """Return what the task's filter makes of a response; None if its pattern does not match.

    GenomeError if the filter returns something else than text.
    """
    with asking(f"task {task.name}, sample {sample['id']}"):
        found = _loaded(task, sample)
        chosen = task.source.get("filter")
        ensemble = next(each for each in found._filters if chosen in (None, each.name))
        instance = harness_module("api.instance").Instance("generate_until", sample["doc"], (), 0, resps=[response])
        ensemble.apply([instance])
        answer = instance.filtered_resps[ensemble.name]
        if not isinstance(answer, str):
            raise GenomeError(
                f"task {task.name}: the filter {ensemble.name} returns a {type(answer).__name__}, expected text; end "
                "the filter with take_first, or choose another filter"
            )
        # A regular expression that does not match has a fixed text in the harness.
        missing = {getattr(each(), "fallback", None) for each in ensemble.filters}
        return None if answer in missing else answer


def score_answers(task: Task, pairs: Sequence[tuple[Sample, str]]) -> list[float]:
    """Return the score of each answer by the task's metric; GenomeError if it is not in [0, 1]."""
    metric, scores = task.source["metric"], []
    with asking(f"task {task.name}: metric {metric}"):
        for sample, answer in pairs:
            value = float(_loaded(task, sample).process_results(sample["doc"], [answer])[metric])
            if not 0 <= value <= 1:
                raise GenomeError(
                    f"task {task.name}: metric {metric} of sample {sample['id']} is {value:g}, expected a share from 0 "
                    "to 1; choose another metric"
                )
            scores.append(value)
    return scores


class _Documents:
    """Stands for all splits of a data set: a single document, from which the harness reads the names of columns."""

    def __init__(self, document: Mapping[str, Any]):
        self.document = document

    def __getitem__(self, split: str) -> Any:
        import datasets

        return datasets.Dataset.from_list([dict(self.document)])


def _loaded(task: Task, sample: Sample) -> Any:
    """Return the harness's task without its data set."""
    name, file = task.source["lm_eval"], sample["harness"]["file"]
    own = own_folder(task.source)
    root = own if own is not None and (own / file).is_file() else harness_folder()
    key = (name, str(root), file)
    if key not in _LOADED:
        if not (root / file).is_file():
            raise GenomeError(
                f"task {task.name}: no file {root / file} of the harness's task {name}; correct include_path"
            )
        manager = harness_module("tasks").TaskManager(include_path=(root / file).parent, include_defaults=False)
        # The documents have been processed when they were read, and their prompts made.
        changes = {
            "custom_dataset": lambda **_: _Documents(sample["doc"]),
            "process_docs": None,
            "fewshot_config": None,
            "num_fewshot": 0,
        }
        found = manager.load({"group": "genome", "task": [{"task": name, **changes}]})["tasks"][name]
        found.multiple_target = int(sample["harness"]["several_targets"])
        _LOADED[key] = found
    return _LOADED[key]
