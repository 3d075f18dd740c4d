"""What tables and figures of a config name: tasks and variants that exist, and rows with different labels."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from genome.config.config import Config
from genome.config.names import joined_problems, part_problem
from genome.config.variants import Variant
from genome.errors import nearest
from genome.search.method import deciding
from genome.search.settings import KNEE
from genome.workflow.names import part_of, whole_of


def named_tasks(config: Config) -> list[str]:
    """Return the tasks that tables and figures name, each once."""
    return list(dict.fromkeys(whole_of(task) for shown in config.shown.values() for _, task in shown.named("task")))


def reference_problems(config: Config, task_files: Mapping[str, Any]) -> list[str]:
    """Return the names that do not exist, rows that look the same, and what a table cannot show."""
    known = {"task": [*task_files, *config.tasks], "variant": list(config.variants)}
    problems = [
        problem
        for part, shown in config.shown.items()
        for kind in ("task", "variant")
        for key, name in shown.named(kind)
        for problem in _unknown(f"config.{part}.{key}: unknown {kind}", [_whole(kind, name)], known[kind])
    ]
    problems += _parts(config)
    problems += _unknown("config.labels: unknown variant", config.labels, known["variant"])
    problems += _unknown("config.weights: unknown task", config.weights, known["task"])
    for part, shown in config.shown.items():
        if part != "portraits":  # which are drawn one by one
            labels = [config.label_of(name) for name in shown.compared]
            problems += [
                f"config.{part}: two rows have the label {label!r}; see config.labels" for label in _repeated(labels)
            ]
    return list(dict.fromkeys([*problems, *_unfit(config)]))


def _whole(kind: str, name: str) -> str:
    return whole_of(name) if kind == "task" else name


def _parts(config: Config) -> list[str]:
    """Return what is wrong with names of parts of tasks, `TASK@NUMBER`: only what runs evolve on may be one."""
    evolved = {evolved for evolved, _ in config.table5.pairs} if config.table5 else set[str]()
    tested = {tested for _, tested in config.table5.pairs} if config.table5 else set[str]()
    problems: list[str] = []
    for part, shown in config.shown.items():
        for key, name in shown.named("task"):
            whole, number = part_of(name)
            if number is None:
                continue
            place = f"config.{part}.{key}: {name!r}"
            if part != "table5" or name in tested or name not in evolved:
                problems.append(f"{place} is a part of a task's validation samples, which has no test; name {whole!r}")
            elif problem := part_problem(config, number):
                problems.append(f"{place}: {problem}")
    return problems


def _unfit(config: Config) -> list[str]:
    """Return what tables and figures name that exists, but that they cannot show."""
    problems: list[str] = []
    if config.portraits:
        evolving = _variants(config, lambda variant: variant.method.stage == "generation")
        problems += _unknown("config.portraits.variants: no evolving variant", config.portraits.variants, evolving)
        for tasks in config.portraits.tasks:
            problems += joined_problems("config.portraits.tasks", tasks.split("+"))
    problems += _of_front(config)
    if config.efficiency:
        compared, reference = config.efficiency.variants, config.efficiency.reference
        searching = _variants(
            config, lambda variant: variant.method.stage in ("generation", "baseline") and variant.method.seeded
        )
        place = "config.efficiency.variants: no evolving or searching variant"
        problems += _unknown(place, [*compared, reference], searching)
        problems += _unknown("config.efficiency.reference: not one of its variants:", [reference], compared)
    if config.table4:
        tasks = [task for domain in config.table4.domains for task in domain.tasks]
        problems += [f"config.table4.domains: task {task!r} is in two domains" for task in _repeated(tasks)]
        names = [domain.name for domain in config.table4.domains]
        problems += [f"config.table4.domains: two domains are named {name!r}; rename one" for name in _repeated(names)]
        for domain in config.table4.domains:
            problems += joined_problems("config.table4.domains", domain.tasks)
    scored = config.variants.get(config.protocol.variant) if config.protocol else None
    if scored and scored.has_finalists:
        problems.append(
            f"config.protocol.variant: {scored.name!r} reports finalists, not its whole population; name a variant "
            "with objective: metric on all samples and result: search"
        )
    for part, shown in (("protocol", config.protocol), ("across", config.across)):
        variant = config.variants.get(shown.variant) if shown else None
        if variant and (not variant.ensemble_size or variant.is_team):
            problems.append(
                f"config.{part}.variant: {variant.name!r} does not report an ensemble of its fittest; name a variant "
                "that does"
            )
    return problems


def _of_front(config: Config) -> list[str]:
    """Return what of the figure of Pareto fronts cannot be shown."""
    shown = config.front
    if shown is None:
        return []
    problems: list[str] = []
    for tasks in shown.tasks:
        problems += joined_problems("config.front.tasks", tasks.split("+"))
        if "+" not in tasks:
            problems.append(f"config.front.tasks: {tasks!r} is one task; join two or more by +")
    knee, mean = config.variants.get(shown.knee), config.variants.get(shown.mean)
    if knee and mean:
        if knee.result != KNEE:
            problems.append(f"config.front.knee: {knee.name!r} hands out no knee; name a variant with result: knee")
        if mean.result == KNEE:
            problems.append(f"config.front.mean: {mean.name!r} hands out the knee; name a variant with another result")
        if (knee.method, deciding(knee.settings)) != (mean.method, deciding(mean.settings)):
            problems.append(
                f"config.front.mean: {mean.name!r} is another search than {knee.name!r}; name a variant that differs "
                "from it in its result only"
            )
    return problems


def _variants(config: Config, fits: Callable[[Variant], bool]) -> list[str]:
    return [name for name, variant in config.variants.items() if fits(variant)]


def _unknown(place: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [f"{place} {name!r}, {nearest(name, known)}" for name in names if name not in known]


def _repeated(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if names.count(name) > 1))
