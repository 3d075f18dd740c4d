"""The figure of Pareto fronts: its rows, and what its panels show."""

from dataclasses import replace

import pytest

from builders import fake_experts, score_row
from genome.files import write_json
from genome.genotype import expert, identity, mixture
from genome.report.figures.front import draw_fronts, rows_of, write
from genome.report.figures.style import BEST
from genome.search.driver import sha256_of
from genome.search.finalists import BASE
from genome.search.front import with_knee
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import write_population

EXPERTS = fake_experts(3)


def individual(name, genotype, scores):
    return Individual(name, genotype, "mutation", fitness=Fitness(sum(scores.values()) / len(scores), scores))


def written(path, population):
    """Write a population with the fitness of all that it knows."""
    everyone = (*population.members, *population.created, *population.state.get("front", ()), population.best)
    digests = sha256_of(EXPERTS)
    scored = {identity(each.genotype, digests): each.required_fitness for each in everyone}
    path.parent.mkdir(parents=True)
    write_population(path, replace(population, scored=scored), EXPERTS)
    return str(path)


@pytest.fixture
def panel(tmp_path):
    """Return a function that writes a run over tasks: three on the front, one not, three experts, the base."""

    def make(*tasks):
        def scored(*pair):
            return {task: pair[i % 2] for i, task in enumerate(tasks)}

        experts = [individual(f"e{i}", expert(i, 3), scored(0.2 + 0.1 * i, 0.3)) for i in range(3)]
        pairs = {"left": (0.2, 0.9), "middle": (0.7, 0.8), "right": (0.9, 0.3), "beaten": (0.6, 0.5)}
        tried = [
            individual(name, mixture([0.1 * i, 0.5, 0.3]), scored(*pair))
            for i, (name, pair) in enumerate(pairs.items())
        ]
        base = individual(BASE, mixture([0.0] * 3), scored(0.1, 0.1))
        decided = new_population([tried[1], base])
        folder = tmp_path / "+".join(tasks)
        files = {
            "knee": written(folder / "knee/population.json", with_knee(decided, [*tried, *experts], {})),
            "mean": written(folder / "mean/population.json", new_population([tried[1], tried[0]])),
            "experts": written(folder / "experts/population.json", new_population(experts)),
            "tried": [written(folder / "generation_0/population.json", new_population(tried))],
        }
        scores = {}
        for kind in ("base", "mean", "knee"):
            # Settings are text with sorted keys.
            scores[kind] = {task: str(folder / kind / f"{task}.json") for task in sorted(tasks)}
            for task, path in scores[kind].items():
                row = score_row(kind, task, 0.4 + 0.1 * tasks.index(task), tasks="+".join(tasks))
                write_json(path, [row, {**row, "report": "ensemble", "score": 0.9}])
        return {"tasks": [*tasks], "label": "X", "seed": 1, **files, "scores": scores}

    return make


def found(rows, kind, split="validation"):
    return {row["individual"] for row in rows if (row["kind"], row["split"]) == (kind, split)}


def test_rows_are_the_models_by_what_they_are_shown_for(panel, tmp_path):
    rows = rows_of(panel("sums", "facts"))
    assert found(rows, "front") == {"left", "middle", "right"}
    assert found(rows, "tried") == {"beaten"}
    assert found(rows, "expert") == {"e0", "e1", "e2"}
    assert found(rows, "base") == {BASE}
    assert found(rows, "mean") == found(rows, "knee") == {"middle"}
    assert found(rows, "front", "test") == set()
    assert {(row["task"], row["score"]) for row in rows if row["split"] == "test"} == {("sums", 40), ("facts", 50)}
    [row] = [row for row in rows if (row["kind"], row["task"]) == ("tried", "facts")]
    assert (row["score"], row["folder"]) == (50.0, (tmp_path / "sums+facts/generation_0").as_posix())


def test_two_tasks_are_axes(panel, drawn, tmp_path):
    outputs = {form: str(tmp_path / f"front.{form}") for form in ("svg", "png")}
    write({"panels": [panel("sums", "facts")]}, {}, {**outputs, "table": str(tmp_path / "front.csv")})
    [axes] = drawn[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Score on sums, %", "Score on facts, %")
    [boundary] = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-pre"]
    assert boundary.get_xydata().tolist() == [[20, 90], [70, 80], [90, 30]]
    hollow = [x.get_xydata().tolist() for x in axes.get_lines() if x.get_mfc() == "white" and x.get_color() == BEST]
    assert hollow == [[[40, 50]]], "the knee on test"
    [legend] = drawn[0].legends
    expected = ["tried", "expert", "front", "base model", "best weighted mean", "knee", "the same on test"]
    assert [text.get_text() for text in legend.get_texts()] == expected


def test_more_tasks_are_places_along_one_axis(panel, drawn, tmp_path):
    draw_fronts([rows_of(panel("sums", "facts", "science"))], [tmp_path / "front.svg"])
    [axes] = drawn[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["sums", "facts", "science"]
    lines = [line.get_ydata().tolist() for line in axes.get_lines() if len(line.get_ydata()) == 3]
    assert [70, 80, 70] in lines
    assert [60, 50, 60] not in lines, "what is not on the front is left out"


def test_equal_runs_are_equal_bytes(panel, tmp_path):
    rows = rows_of(panel("sums", "facts"))
    for name in ("one", "two"):
        draw_fronts([rows, rows, rows], [tmp_path / f"{name}.{form}" for form in ("svg", "png")])
    for form in ("svg", "png"):
        assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()
