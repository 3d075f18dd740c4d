"""What goes into a forecast, and what comes out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from genome.forecast.rates import Rate


@dataclass(frozen=True)
class Job:
    """A job that would run: its stage (the rule's name), the parts of its name, the JSON text of its settings.

    `space` is where it merges experts, as the plan has it. `benchmark` matches Snakemake's benchmark files of its rule.
    """

    stage: str
    parts: Mapping[str, str]
    settings: str = "{}"
    space: str = ""
    benchmark: str = ""


@dataclass(frozen=True)
class Setting:
    """What jobs share: the names of the `experts`, and the definitions of all `tasks` of the jobs.

    `adapters` are the `generations` that keep their members as folders: all, final or none. `splits` are the numbers of
    samples, `validation` and `test` (or "rest"). `engine` is the config's section, `configfiles` are those given on the
    command line.
    """

    base: str
    experts: Sequence[str]
    generations: int
    adapters: str
    splits: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]
    engine: Mapping[str, Any] = field(default_factory=dict[str, Any])
    configfiles: Sequence[str] = ()


@dataclass(frozen=True)
class Measured:
    """What is known from files in the folder; a task or stage that is missing from a mapping has not been measured.

    samples: validation and test samples per task
    prompt_tokens, response_tokens: means per sample; row_bytes: mean per kept response
    adapter_bytes: size of an adapter, by the space in which experts are merged
    longest_tokens: mean of the longest response of a batch
    rate: of the engine; start_seconds: how long it takes to start
    own_seconds: of a job by its stage, besides what is forecast in tokens
    training_seconds: of what is trained, by its file
    """

    samples: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    prompt_tokens: Mapping[str, float] = field(default_factory=dict[str, float])
    response_tokens: Mapping[str, float] = field(default_factory=dict[str, float])
    row_bytes: Mapping[str, float] = field(default_factory=dict[str, float])
    adapter_bytes: Mapping[str, int] = field(default_factory=dict[str, int])
    longest_tokens: Mapping[str, float] = field(default_factory=dict[str, float])
    rate: Rate | None = None
    start_seconds: float = 0
    own_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    training_seconds: Mapping[str, float] = field(default_factory=dict[str, float])


NO_TASKS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cost:
    """Expected numbers of genotypes scored, samples answered, tokens, adapters kept, bytes of answers and populations.

    `prompt_tokens` do not include `unmeasured` tasks. `response_tokens` are an upper limit for `bounded` tasks.
    `adapters` are numbers of kept ones by their spaces. `engine_seconds` do not include `untimed` tasks; during
    `shared_seconds` of them the engine may answer other jobs in the same steps. `own_seconds` are the jobs' own.
    """

    jobs: int = 0
    evaluations: float = 0
    samples: float = 0
    prompt_tokens: float = 0
    response_tokens: float = 0
    file_bytes: float = 0
    engine_seconds: float = 0
    shared_seconds: float = 0
    own_seconds: float = 0
    adapters: Counter[str] = field(default_factory=Counter[str])
    unmeasured: frozenset[str] = NO_TASKS
    bounded: frozenset[str] = NO_TASKS
    untimed: frozenset[str] = NO_TASKS

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.jobs + other.jobs,
            self.evaluations + other.evaluations,
            self.samples + other.samples,
            self.prompt_tokens + other.prompt_tokens,
            self.response_tokens + other.response_tokens,
            self.file_bytes + other.file_bytes,
            self.engine_seconds + other.engine_seconds,
            self.shared_seconds + other.shared_seconds,
            self.own_seconds + other.own_seconds,
            self.adapters + other.adapters,
            self.unmeasured | other.unmeasured,
            self.bounded | other.bounded,
            self.untimed | other.untimed,
        )

    def __mul__(self, share: float) -> "Cost":
        """Return the cost of a share of the evaluations of the same jobs, whose own time and adapters stay."""
        numbers = {each.name: getattr(self, each.name) for each in fields(self)}
        scaled = {name: value * share for name, value in numbers.items() if isinstance(value, int | float)}
        return replace(self, **{**scaled, "jobs": self.jobs, "own_seconds": self.own_seconds})

    @property
    def seconds(self) -> float:
        """Seconds of the jobs one after another, without untimed tasks."""
        return self.engine_seconds + self.own_seconds


@dataclass(frozen=True)
class Forecast:
    """Costs by stage and variant (or ""), the number of other jobs by stage, and the basis of the numbers.

    seconds: of all that is timed, `cores` jobs side by side; None without a rate of the engine
    untimed: number of other jobs whose time is not known, by stage
    assumed: tasks whose number of test samples is not known
    bounded: tasks whose responses are assumed to have the largest possible length
    remedy: what makes the time of the untimed tasks known
    training: the command that trains one of what the forecast leaves out, after which the time of others like it is
        known; "" if it leaves out none
    """

    rows: Mapping[tuple[str, str], Cost]
    others: Mapping[str, int]
    measured: Measured
    cores: int
    seconds: float | None
    untimed: Mapping[str, int]
    assumed: Sequence[str]
    bounded: Sequence[str]
    remedy: str
    training: str

    @property
    def total(self) -> Cost:
        """The sum of all stages, including jobs that do not use the engine."""
        return sum(self.rows.values(), Cost(jobs=sum(self.others.values())))

    @property
    def disk(self) -> float | None:
        """Bytes that remain on disk; None if adapters are kept and their size is not known yet."""
        total, sizes = self.total, self.measured.adapter_bytes
        if not total.adapters.keys() <= sizes.keys():
            return None
        return total.file_bytes + sum(number * sizes[space] for space, number in total.adapters.items())
