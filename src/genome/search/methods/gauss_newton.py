"""Gauss-Newton on the likelihood of single samples: a search for few samples, which begins at the mean of the experts.

Not in the paper. A fitness is one number per candidate. The losses of m samples are m numbers, from which a linear
model of the loss can be made (`genome.search.linearised`). The mean of all experts and one step along each of them give
its Jacobian, with n + 1 evaluations. Least squares on it propose a mixture at once.

What few samples cannot show must not be fitted. So the mean of all experts is the prior. The overall scale is freed
first: multiples of the mean, the base model among them, are compared before any expert is. How far the coefficients
may then leave the prior is decided by the leave-one-out errors of the samples, in closed form. Several dampings, the
best of them and its neighbours, are evaluated together, and each is credited with the loss that its leverages let
expect on other samples. The search moves only to a mixture that is better than the mean of the experts by
`confidence` standard errors over the samples. If no mixture is, measured or predicted, there is no signal: the run
evaluates nothing more, and the mean of the experts is its result.

All that is kept between generations are points and the losses of their samples: the model is made from them again.
With `redraw`, each generation measures the Jacobian on its own samples, and the models of earlier ones are added.

A run over three experts, of which each is responsible for the residuals of four samples, and all in one generation:

>>> import numpy as np
>>> from genome.search.driver import Scoreboard, drive, score_all
>>> from genome.search.population import Fitness
>>> kinds = np.repeat(np.eye(3), 4, axis=0)
>>> def evaluate(individuals):
...     points = [np.array(x.genotype.coefficients) + (0.4, 0.3, -0.2) for x in individuals]
...     losses = [(kinds @ point) ** 2 / 2 for point in points]
...     return [Fitness(float(np.exp(-each.mean())), {}, tuple(map(float, each))) for each in losses]
>>> board = Scoreboard({}, ["sha256 of a", "sha256 of b", "sha256 of c"], evaluate)
>>> mean = [Individual("uniform", mixture([1 / 3] * 3, "product"), "mixture")]
>>> population = drive(score_all(mean), board)
>>> population = drive(generation(population, GaussNewtonSettings(scales=()), seed=1), board)
>>> population.best.operator, [round(each, 1) for each in population.best.genotype.coefficients]
('step', [-0.4, -0.3, 0.2])
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genome import fields
from genome.genotype import mixture
from genome.rng import stream
from genome.search.asking import Scored, Search
from genome.search.linearised import (
    Draw,
    Point,
    fit,
    fits,
    linear_model,
    residuals,
    standard_errors_better,
)
from genome.search.measure import LIKELIHOOD
from genome.search.method import Method, Number, Reader, setting
from genome.search.population import FOUNDER, Individual, Population, fittest, track
from genome.search.settings import EvolvingObjective, MergeSpace, merge_space, patience, space_of

DRAWS = "draws"
"""The part of the state that keeps all points, by draws of samples."""

Asked = Generator[Sequence[Individual], Scored, list[Individual]]
"""Yields individuals and returns them, scored."""


@dataclass(frozen=True)
class GaussNewtonSettings(EvolvingObjective):
    """Settings of Gauss-Newton."""

    objective: Literal["likelihood"] = setting(LIKELIHOOD, "What the search models: the likelihood of single samples.")
    samples: int | None = setting(
        20, "How many validation samples of each task a generation looks at; null: all of them.", ge=2
    )
    calibrated: bool = setting(
        True,
        "Whether a temperature, and for labels a bias per label, is fitted to each candidate's validation samples, so "
        "that no coefficient is chosen for their sake; where answers are by likelihood.",
        only={"objective": LIKELIHOOD},
    )
    finalists: int = setting(
        3,
        "How many of the search's best are compared by the metric on all validation samples, with the base model and "
        "the best expert, if `result` is best_of; 3 or more: the mean of the experts is always among them.",
        reporting=True,
        ge=1,
    )
    merge_space: MergeSpace = merge_space("product")
    initialisation: Literal["uniform"] = setting("uniform", "Generation 0: the mean of all experts.", pinned=True)
    scales: tuple[Number, ...] = setting(
        (0, 2, 4),
        "Multiples of the mean of the experts that are tried before the experts are told apart; 0 is the base model.",
        pinned=True,
        rising=True,
    )
    probe: Number = setting(
        0.2, "The length of the steps by which the Jacobian is measured, one along each expert.", pinned=True, gt=0
    )
    directions: int = setting(
        30,
        "The most directions in which the Jacobian is measured: of more experts, random ones, after the mean of all.",
        pinned=True,
        ge=1,
    )
    damping: tuple[Number, ...] = setting(
        (0.25, 1, 4, 16),
        "Strengths of the prior that are tried together, as multiples of the one of the least leave-one-out error.",
        pinned=True,
        rising=True,
        min_length=1,
    )
    radius: Number = setting(
        1,
        "The longest step; divided by 3 for each generation in a row that has found nothing better.",
        pinned=True,
        gt=0,
    )
    bounds: tuple[Number, Number] | None = setting(
        (-1.5, 1.5), "The lowest and the highest value of a coefficient; null for none.", pinned=True, rising=True
    )
    confidence: Number = setting(
        2,
        "By how many standard errors over the samples a mixture must be better than the mean of the experts.",
        pinned=True,
        ge=0,
    )
    tolerance: Number = setting(
        0.05, "By which share of the loss a mixture must be better than the one found before.", pinned=True, ge=0, lt=1
    )
    patience: int | None = patience(2)


def generation(population: Population, settings: GaussNewtonSettings, seed: int) -> Search:
    """Yield what the model is made from, then what it proposes; return the best of all and the mean of the experts.

    The search continues from the first member; the last one is the mean of the experts.
    """
    now, mean = population.generation + 1, population.members[-1]
    draws: tuple[Draw, ...] = population.state.get(DRAWS, ())
    created: list[Individual] = []

    def ask(operator: str, places: Iterable[Sequence[float]]) -> Asked:
        """Yield individuals at places, and keep them."""
        space, parents = space_of(settings.merge_space), (population.members[0].name,)
        scored = yield [
            Individual(f"g{now:02}-{operator}{i}", mixture(place, space), operator, parents)
            for i, place in enumerate(places)
        ]
        created.extend(scored.finished)
        return list(scored.finished)

    if not draws or settings.redraw:
        founder = population.state.get(FOUNDER, ())
        known = [
            Point(each.genotype.coefficients, each.required_fitness.losses or founder) for each in population.members
        ]
        reference = known[-1]
        if not draws:
            scaled = yield from ask("scale", _scales(reference, settings))
            known += map(_point, scaled)
        centre = _best(known, reference, settings)
        directions = _directions(len(centre.coefficients), settings, seed, now)
        probed = yield from ask("probe", _probes(centre, directions, settings))
        others = tuple(each for each in known if each != centre)
        draws = (*draws, Draw(centre, tuple(map(_point, probed)), others))
    *earlier, draw = draws
    reference = next(each for each in draw.points if each.coefficients == mean.genotype.coefficients)
    proposed = _proposed(draws, reference, settings, population.stalled)
    if proposed:
        tried = yield from ask("step", proposed)
        points = (_point(each, proposed[each.genotype.coefficients]) for each in tried)
        draw = draw._replace(others=(*draw.others, *points))
    best = _best(draw.points, reference, settings)
    found = next(x for x in (*created, *population.members) if x.genotype.coefficients == best.coefficients)
    members = (mean,) if best == reference else (found, mean)
    state = {DRAWS: (*earlier, draw)}
    following = replace(population, generation=now, members=members, created=(), state=state)
    return replace(track(following, created), best=fittest(members)[0])


def _point(individual: Individual, leverages: tuple[float, ...] = ()) -> Point:
    return Point(individual.genotype.coefficients, individual.required_fitness.losses, leverages)


def _best(points: Iterable[Point], reference: Point, settings: GaussNewtonSettings) -> Point:
    """Return the point of least expected loss among those that are surely better than the reference, else that.

    Later points must be better than the best of the earlier ones by `tolerance`.
    """
    best = reference
    for each in points:
        sure = standard_errors_better(reference.expected, each.expected) >= settings.confidence
        if sure and each.expected.mean() < (1 - settings.tolerance) * best.expected.mean():
            best = each
    return best


def _scales(mean: Point, settings: GaussNewtonSettings) -> list[tuple[float, ...]]:
    """Return the multiples of the mean of the experts that are within the bounds; the mean itself is known."""
    scaled = [_within(scale * mean.place, None) for scale in settings.scales if scale != 1]
    return [each for each in scaled if each == _within(np.array(each), settings.bounds)]


def _directions(n: int, settings: GaussNewtonSettings, seed: int, now: int) -> np.ndarray:
    """Return directions of length 1, [directions, coefficients]: of each expert, or of the mean and random ones."""
    if n <= settings.directions:
        return np.eye(n)
    drawn = stream(seed, "gauss_newton", now).standard_normal((n, settings.directions))
    drawn[:, 0] = 1.0
    return np.linalg.qr(drawn)[0].T


def _probes(centre: Point, directions: np.ndarray, settings: GaussNewtonSettings) -> list[tuple[float, ...]]:
    """Return a step from the centre in each direction; in the opposite one where the bounds would shorten it."""
    probes: list[tuple[float, ...]] = []
    for direction in directions:
        ahead = _within(centre.place + settings.probe * direction, settings.bounds)
        free = _within(centre.place + settings.probe * direction, None)
        probes.append(ahead if ahead == free else _within(centre.place - settings.probe * direction, settings.bounds))
    return probes


def _within(place: np.ndarray, bounds: tuple[Number, Number] | None) -> tuple[float, ...]:
    """Return a place within the bounds, in the numbers of genotypes."""
    return mixture(place if bounds is None else np.clip(place, *bounds)).coefficients


def _proposed(
    draws: Sequence[Draw], reference: Point, settings: GaussNewtonSettings, stalled: int
) -> dict[tuple[float, ...], tuple[float, ...]]:
    """Return where to go from the best point of the last draw, with the leverages of its samples in each fit.

    Nothing if no point is better than the reference, and none is predicted to be.
    """
    origin, draw = draws[0].centre.place, draws[-1]
    best = _best(draw.points, reference, settings)
    anchors = [_best(each.points, each.centre, settings) for each in draws[:-1]]
    models = [linear_model(each, anchor) for each, anchor in zip(draws, [*anchors, best], strict=True)]
    model = np.concatenate(models)
    wanted = np.concatenate(
        [
            each @ (anchor.place - origin) - residuals(anchor.losses)
            for each, anchor in zip(models, [*anchors, best], strict=True)
        ]
    )
    own = slice(len(model) - len(best.losses), None)
    candidates = fits(model, wanted)
    if not candidates:
        return {}
    likely = min(candidates, key=lambda each: each.expected)
    predicted = likely.left_out[own] ** 2 / 2
    if best == reference and standard_errors_better(reference.expected, predicted) < settings.confidence:
        return {}
    longest, seen = settings.radius / 3**stalled, {each.coefficients for each in draw.points}
    proposed: dict[tuple[float, ...], tuple[float, ...]] = {}
    for damping in settings.damping:
        damped = fit(model, wanted, damping * likely.strength)
        step = origin + damped.step - best.place
        length = float(np.linalg.norm(step))
        place = _within(best.place + step * min(1.0, longest / max(length, longest)), settings.bounds)
        if place not in seen:
            proposed.setdefault(place, tuple(damped.leverages[own].tolist()))
    return proposed


def read_founder(value: Any, file: Reader) -> tuple[float, ...]:
    """Return the losses of a uniform generation 0 in a population's file."""
    return _numbers(value, FOUNDER)


def read_draws(value: Any, file: Reader) -> tuple[Draw, ...]:
    """Return the points of each draw in a population's file."""
    draws: list[Draw] = []
    for index, entry in enumerate(fields.sequence(value, DRAWS)):
        place = f"{DRAWS}, entry {index}"
        centre, probes, others = _entries(entry, place, 3)
        read = [
            tuple(_read_point(each, place, file) for each in fields.sequence(part, place)) for part in (probes, others)
        ]
        draws.append(Draw(_read_point(centre, place, file), *read))
    return tuple(draws)


def _read_point(value: Any, place: str, file: Reader) -> Point:
    coefficients, losses, leverages = (_numbers(each, place) for each in _entries(value, place, 3))
    if len(coefficients) != file.experts:
        raise fields.UnexpectedError(f"{place}: {len(coefficients)} coefficients for {file.experts} experts")
    return Point(coefficients, losses, leverages)


def _entries(value: Any, place: str, number: int) -> Sequence[Any]:
    if len(fields.sequence(value, place)) != number:
        raise fields.UnexpectedError(f"{place}: expected {number} entries, found {fields.shown(value)}")
    return value


def _numbers(value: Any, place: str) -> tuple[float, ...]:
    return tuple(fields.number(each, place) for each in fields.sequence(value, place))


def _cost(settings: GaussNewtonSettings, size: int, experts: int) -> int:
    """Return the evaluations of a generation that proposes steps: those, and with `redraw` its own Jacobian."""
    return len(settings.damping) + (min(experts, settings.directions) if settings.redraw else 0)


def _first(settings: GaussNewtonSettings, experts: int) -> int:
    """Return the evaluations of scales, which only the first generation has, and of the Jacobian that all share."""
    mean = Point(mixture([1 / experts] * experts).coefficients, ())
    return len(_scales(mean, settings)) + (0 if settings.redraw else min(experts, settings.directions))


def _most(settings: GaussNewtonSettings, size: int, experts: int, seed: int, generation: int) -> int:
    return _cost(settings, size, experts) + (_first(settings, experts) if generation == 1 else 0)


METHOD = Method(
    "gauss_newton",
    "Gauss-Newton",
    stage="generation",
    settings=GaussNewtonSettings,
    run=generation,
    cost=_cost,
    first=_first,
    most=_most,
    group="beyond",
    seeded=True,
    operators={"scale": ("s", 18, 0.0), "probe": (".", 18, 0.0), "step": ("D", 18, 0.0)},
    state={FOUNDER: read_founder, DRAWS: read_draws},
)
