"""Runs that hand out a knee, and the figure of their fronts."""

import pytest

from genome.errors import GenomeError
from genome.workflow import evaluation, front, runs, settings
from genome.workflow.names import RunName
from plan.plans import plan_of

VARIANTS = {
    "cma_es-knee": {"method": "cma_es", "result": "knee"},
    "wide-knee": {"method": "cma_es", "result": "knee", "bounds": [-2, 2]},
    "likely-knee": {"method": "cma_es", "result": "knee", "objective": "likelihood"},
    "lorahub-knee": {"method": "lorahub", "result": "knee"},
}
SHOWN = {"tasks": ["sums+emotions"], "knee": "cma_es-knee", "mean": "cma_es"}
PLAN = plan_of(variants=VARIANTS, front=SHOWN)


def knee_run(variant="cma_es-knee", tasks="sums+emotions"):
    return runs.run_of(PLAN, variant, tasks, 1)


def test_a_knee_is_handed_out_by_a_search_of_its_plain_method():
    """So that mean and knee of one search cost one search."""
    run, plain = knee_run(), knee_run("cma_es")
    assert str(run) == "sums+emotions/cma_es-knee/n4/seed1"
    assert runs.populations_of(PLAN, run) == runs.populations_of(PLAN, plain)
    assert runs.stages_of(PLAN, run) == [*runs.stages_of(PLAN, plain)[:-1], f"{run}/finalists"]
    assert runs.result_of(PLAN, run) == f"{run.folder}/finalists/population.json"
    lorahub = knee_run("lorahub-knee")
    assert runs.populations_of(PLAN, lorahub) == ["results/runs/sums+emotions/lorahub/seed1/population.json"]


def test_a_knee_of_other_settings_has_its_own_search():
    run = knee_run("wide-knee")
    assert runs.populations_of(PLAN, run)[-1] == f"{run.folder}/generation_3/population.json"


def test_a_front_is_made_of_all_populations():
    run = knee_run()
    tried = runs.tried_populations(PLAN, run)
    assert [*tried, evaluation.last_population(PLAN, run)] == runs.populations_of(PLAN, run)
    assert runs.tried_populations(PLAN, knee_run("cma_es")) == []


def test_a_knee_is_one_adapter():
    assert evaluation.members_of(PLAN, "cma_es-knee") == 0
    assert evaluation.members_of(PLAN, "cma_es") == 3


def test_finalists_depend_on_what_is_handed_out():
    found = settings.of_finalists(PLAN, knee_run())
    assert (found["result"], found["finalists"]) == ("knee", 5)
    assert settings.of_finalists(PLAN, knee_run("cma_es"))["result"] == "best_of"


def test_figure_is_made_from_the_first_seed():
    [panel] = front.settings(PLAN, PLAN.config.front)["panels"]
    files = front.files(PLAN, PLAN.config.front)
    folder = "results/runs/sums+emotions"
    assert panel["knee"] == f"{folder}/cma_es-knee/n4/seed1/finalists/population.json"
    assert panel["mean"] == f"{folder}/cma_es/n4/seed1/finalists/population.json"
    assert panel["scores"]["base"]["sums"] == "results/test/sums/sums+emotions/base/scores.json"
    assert panel["scores"]["knee"]["emotions"] == "results/test/emotions/sums+emotions/cma_es-knee/n4/seed1/scores.json"
    assert f"{folder}/cma_es/n4/seed1/generation_2/population.json" in files
    assert len(files) == 3 + 4 + 6 == len({*files})


def test_figure_of_a_search_by_likelihood_shows_no_fitness_of_other_measures():
    shown = {**SHOWN, "knee": "likely-knee", "mean": "likely"}
    likely = {"method": "cma_es", "objective": "likelihood"}
    plan = plan_of(variants=VARIANTS | {"likely": likely}, front=shown)
    assert front.settings(plan, plan.config.front)["panels"][0]["tried"] == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tasks": ["sums"]}, "config.front.tasks: 'sums' is one task; join two or more by +"),
        ({"tasks": ["sums+smus"]}, "config.front.tasks: unknown task 'smus', did you mean 'sums'?"),
        ({"knee": "cma_es"}, "config.front.knee: 'cma_es' hands out no knee; name a variant with result: knee"),
        ({"mean": "cma_es-knee"}, "config.front.mean: 'cma_es-knee' hands out the knee"),
        ({"mean": "genome"}, "config.front.mean: 'genome' is another search than 'cma_es-knee'"),
        ({"mean": "cma_e"}, "config.front.mean: unknown variant 'cma_e', did you mean 'cma_es'?"),
    ],
)
def test_figure_that_cannot_be_drawn_is_refused(changes, problem):
    with pytest.raises(GenomeError) as error:
        plan_of(variants=VARIANTS, front={**SHOWN, **changes})
    assert problem in str(error.value)


def test_searches_of_variants_are_found_by_their_method():
    assert runs.search_of(PLAN, RunName(("sums",), "cma_es-knee", 4, 1)) == RunName(("sums",), "cma_es", 4, 1)
    assert runs.search_of(PLAN, RunName(("sums",), "cma_es", 4, 1)).variant == "cma_es"
