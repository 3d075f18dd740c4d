"""What reruns what: which stages' settings change with a key of the config, and which do not."""

import re
from functools import cache

import pytest

from genome.errors import GenomeError
from genome.search import racing
from genome.search.methods import METHODS
from genome.tasks import parse_task
from genome.workflow import budget, runs, settings, tables
from genome.workflow.evaluation import test_of as named_test
from genome.workflow.names import RunName
from genome.workflow.plan import canonical
from genome.workflow.rules import RESULTS
from plan.plans import plan_of

SINGLE, BOTH = ("sums",), ("sums", "emotions")
VARIANTS = ("genome", "genome_plus", "genome_plus-no_initialisation", "genome_plus-team", "cma_es", "model_swarms")
BASELINES = ("expert_fusion", "lorahub", "pack_of_llms_merge")


def texts(plan):
    """Return the settings of a job of each stage, by a name."""
    found = {
        "base": settings.of_base(plan, "micro"),
        "adapter": settings.of_training(plan, "add"),
        "manifest": settings.of_manifest(plan),
        "split": settings.of_split(plan, "sums"),
        "prompts": settings.of_prompts(plan, "micro", "sums"),
        "experts": settings.of_fitness(plan, SINGLE),
        "experts of both": settings.of_fitness(plan, BOTH),
        "initial pairs": settings.of_initial(plan, SINGLE, "pairs"),
        "initial experts": settings.of_initial(plan, SINGLE, "experts"),
        "initial populated": settings.of_initial(plan, SINGLE, "populated"),
        "initial experts-product": settings.of_initial(plan, SINGLE, "experts-product"),
        "initial experts-shared-16": settings.of_initial(plan, SINGLE, "experts-shared-16"),
        "dare_ties": runs.search_settings(plan, "dare_ties"),
        "ties": runs.search_settings(plan, "ties"),
        **{f"run {name}": settings.of_search(plan, SINGLE, name) for name in (*VARIANTS, *BASELINES)},
        **{name: row.settings_of(plan) for name, row in RESULTS.items() if name not in ("across", "front")},
        "study": tables.study_settings(plan),
    }
    for variant in ("genome_plus", "genome_plus-team"):
        test = named_test("sums", RunName(SINGLE, variant, 4, 1))
        found[f"responses {variant}"] = settings.of_responses(plan, test)
        found[f"scores {variant}"] = settings.of_scores(plan, test)
    found["portrait"] = settings.of_portrait(plan, RunName(SINGLE, "genome_plus", 4, 1))
    found["export"] = settings.of_export(plan, RunName(SINGLE, "genome_plus", 4, 1))
    return {name: canonical(value) for name, value in found.items()}


@cache
def unchanged():
    return texts(plan_of())


def changed(**changes):
    """Return the stages whose settings a change of the config changes."""
    after = texts(plan_of(**changes))
    return {name for name, text in unchanged().items() if after[name] != text}


SEARCHES = {f"run {name}" for name in (*VARIANTS, *BASELINES)}
REPEATING = {"initial experts", "initial experts-product", "initial experts-shared-16"}
INITIAL = {"initial pairs", "initial populated", *REPEATING}
OF_FITNESS = {"experts", "experts of both", *INITIAL, *SEARCHES, "responses genome_plus-team"}
OF_SCORES = {"scores genome_plus", "scores genome_plus-team"}
SHOWN = {f"table{number}" for number in (2, 3, 4, 5, 6, 7, 8)} | {"figure2", "learning_curve", "efficiency", "summary"}


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        # Nothing depends on where and how jobs run.
        ({"engine": {"batch_size": 12}}, set()),
        ({"adapters": "none"}, set()),
        ({"unparsed": "warn"}, set()),
        # The rank of exports changes nothing else.
        ({"export_rank": 16}, {"export"}),
        # A further variant or task changes no other run.
        ({"variants": {"mine": {"method": "genome", "sigma": 0.5}}}, set()),
        ({"all": ["table1"]}, set()),
        ({"portraits": None}, set()),
        # Data.
        ({"splits": {"seed": 7}}, {"split"}),
        ({"splits": {"test": "rest"}}, {"split"}),
        ({"tasks": {"sums": {"category": "Arithmetic"}}}, {"table1", "figure3", "export"}),
        (
            {"tasks": {"sums": {"pattern": "(.*)"}}},
            {*OF_FITNESS, *OF_SCORES, "table1", "protocol", "ensemble_by_k", "export"},
        ),
        (
            {"tasks": {"sums": {"max_tokens": 9}}},
            {
                *OF_FITNESS,
                *OF_SCORES,
                "responses genome_plus",
                "table1",
                "protocol",
                "ensemble_by_k",
                "export",
            },
        ),
        (
            {"tasks": {"sums": {"prompt": "Add: {{ prompt }}"}}},
            {
                "split",
                "prompts",
                *OF_FITNESS,
                *OF_SCORES,
                "table1",
                "protocol",
                "ensemble_by_k",
                "export",
            },
        ),
        ({"weights": {"sums": 2}}, {"experts of both"}),
        # The base and its experts.
        ({"bases": {"micro": {"training": {"rank": 4}}}}, {"adapter"}),
        ({"bases": {"micro": {"training": {"kind": "dora"}}}}, {"adapter"}),
        ({"bases": {"micro": {"training": {"init_seed": 7}}}}, {"adapter"}),
        ({"bases": {"micro": {"experts": {"add": {"training": {"epochs": 9}}}}}}, {"adapter"}),
        ({"bases": {"micro": {"experts": {"sub": {"training": {"epochs": 9}}}}}}, set()),
        ({"bases": {"micro": {"chat": {"system": "Be brief."}}}}, {"adapter", "prompts", "export"}),
        # What is as by default changes nothing, and where responses end changes no prompt.
        ({"bases": {"micro": {"chat": {"date": "2024-07-26", "template_arguments": {}}}}}, set()),
        ({"tasks": {"sums": {"chat": {"system": None}}}}, {"table1"}),
        ({"tasks": {"sums": {"chat": {"system": "Be brief."}}}}, {"prompts", "table1", "export"}),
        (
            {"bases": {"micro": {"chat": {"stop": ["Q:"]}}}},
            {*OF_FITNESS, *OF_SCORES, "responses genome_plus", "protocol", "ensemble_by_k", "export"},
        ),
        (
            {"tasks": {"sums": {"chat": {"stop": ["Q:"]}}}},
            {*OF_FITNESS, *OF_SCORES, "responses genome_plus", "table1", "protocol", "ensemble_by_k", "export"},
        ),
        # Methods.
        ({"methods": {"genome": {"crossover_rate": 0.5}}}, {"run genome"}),
        ({"methods": {"genome": {"sigma": 0.5}}}, {"run genome", "initial experts"}),
        # Where no space is named, the experts choose it.
        ({"methods": {"genome": {"coefficient_sigma": 0.5}}}, {"run genome", *REPEATING}),
        (
            {"methods": {"genome": {"gene_mutation_rate": 0.5}}},
            {"run genome", *REPEATING},
        ),
        (
            {"methods": {"genome_plus": {"sigma": 0.5}}},
            {"run genome_plus", "run genome_plus-no_initialisation", "run genome_plus-team", "export"},
        ),
        ({"methods": {"cma_es": {"step": 0.3}}}, {"run cma_es"}),
        ({"methods": {"cma_es": {"coefficients": "layer_group"}}}, {"run cma_es"}),
        ({"methods": {"lorahub": {"evaluations": 9}}}, {"run lorahub"}),
        ({"methods": {"dare_ties": {"density": 0.5}}}, {"dare_ties"}),
        ({"methods": {"ties": {"density": 0.5}}}, {"ties"}),
        ({"methods": {"ties": {"rank": 8}}}, {"ties"}),
        ({"methods": {"expert_fusion": {"merge_space": "product"}}}, {"run expert_fusion"}),
        ({"methods": {"genome": {"racing": {"looks": [10], "confidence": 0.9, "share": 1}}}}, {"run genome"}),
        # What is reported of a run, not what it finds.
        (
            {"variants": {"genome_plus-team": {"ensemble": {"k": 2}}}},
            {"responses genome_plus-team", "scores genome_plus-team"},
        ),
        (
            {"methods": {"genome": {"ensemble": {"k": 2}}}},
            {"figure2", "table2", "summary"},
        ),
        ({"labels": {"genome_plus": "Ours"}}, {*SHOWN, "portrait", "export"}),
        ({"labels": {"lorahub": "Hub"}}, {"table2", "summary", "table5", "table7", "efficiency"}),
        (
            {"similarity": {"metric": "bertscore", "model": "some/encoder", "layer": 3}},
            {"responses genome_plus-team", *OF_SCORES, "protocol", "ensemble_by_k"},
        ),
        # Sizes of runs: in the names of runs, and in what shows them.
        ({"seeds": [1]}, {*SHOWN, "protocol", "ensemble_by_k"}),
        ({"generations": 2}, {"efficiency", "table10", "table11"}),
        # The runs of four are no longer those whose whole populations answer.
        (
            {"population_size": 6},
            {
                "protocol",
                "ensemble_by_k",
                "efficiency",
                "summary",
                "table7",
                "study",
                "table10",
                "table11",
                "responses genome_plus",
            },
        ),
        # Tables.
        ({"table2": {"tasks": ["sums"]}}, {"table2", "summary"}),
        ({"table8": {"without": ["genome_plus-no_ensemble"]}}, {"table8"}),
        ({"figure2": {"sizes": [4]}}, {"figure2"}),
        ({"learning_curve": {"sizes": [10]}}, {"learning_curve"}),
        ({"splits": {"validation": 25}}, {"split", "learning_curve"}),
        ({"study": {"runs": 7}}, {"study"}),
        ({"study": {"seed": 4}}, {"study", "table10", "table11"}),
        ({"protocol": {"tasks": ["emotions"]}}, {"protocol", "ensemble_by_k", "responses genome_plus"}),
    ],
    # A set's text differs between processes.
    ids=lambda value: str(value) if isinstance(value, dict) else "-".join(sorted(value)) or "nothing",
)
def test_a_changed_key_changes_the_settings_of_its_stages(changes, stages):
    assert changed(**changes) == stages


@pytest.mark.parametrize("version", ["fitness", "split", "tables", "figures", "responses", "scores", "export"])
def test_a_raised_version_changes_the_settings_of_its_stage(plan, version):
    raised = plan_of()
    raised.versions[version] += 1
    after = texts(raised)
    names = {name for name, text in unchanged().items() if after[name] != text}
    expected = {
        "fitness": {*OF_FITNESS, *OF_SCORES, "protocol", "ensemble_by_k"},
        "split": {"split"},
        "tables": {*SHOWN - {"figure2", "learning_curve"}, "table1", "study", "table10", "table11"},
        "figures": {"figure2", "learning_curve", "figure3", "portrait"},
        "responses": {"responses genome_plus", "responses genome_plus-team"},
        "scores": {*OF_SCORES, "protocol", "ensemble_by_k"},
        "export": {"export"},
    }
    assert names == expected[version]


def test_settings_of_a_run_are_those_of_release_0_1(plan):
    """The text of a run's settings is what decides whether a finished run is used again."""
    given = settings.of_search(plan, SINGLE, "genome_plus")
    assert given.pop("tasks")[0]["name"] == "sums"
    assert given == {
        "version": plan.versions["fitness"],
        "method": "genome_plus",
        "stage": 1,
        "initialisation": "pairs",
        "crossover_rate": 0.3,
        "individual_mutation_rate": 0.3,
        "gene_mutation_rate": 0.2,
        "sigma": 0.001,
        "elite_ratio": 0.1,
        "selection": "proportional",
        "patience": None,
        "succession": {
            "phi_self": 0.95,
            "phi_best": 0.2,
            "phi_current": 0.2,
            "phi_worst": 0.1,
            "step": 0.95,
            "attractor": "weights",
            "experience": "difference",
            "keep_best": False,
        },
    }


def test_content_of_a_chat_template_decides(tmp_path):
    file = tmp_path / "chat.jinja"
    file.write_text("{{ messages[0].content }}")
    plan = plan_of(bases={"micro": {"chat": {"template_file": str(file)}}})
    before = texts(plan)
    assert {name for name, text in unchanged().items() if before[name] != text} == {"adapter", "prompts", "export"}
    file.write_text("{{ messages[0].content }}!")
    after = texts(plan)
    assert {name for name, text in before.items() if after[name] != text} == {"adapter", "prompts"}


def test_chat_of_a_task_is_laid_over_that_of_its_base():
    base = {"system": "Be brief.", "stop": ["Q:"], "template_arguments": {"enable_thinking": False}}
    plan = plan_of(
        bases={"micro": {"chat": base}},
        tasks={"sums": {"chat": {"system": None, "assistant_prefix": "A:"}}, "algebra": {"chat": "plain"}},
    )
    arguments = {"template_arguments": {"enable_thinking": False}}
    asked = {task: settings.of_prompts(plan, "micro", task) for task in ("sums", "algebra", "puzzles")}
    assert asked["sums"]["chat"] == {**arguments, "assistant_prefix": "A:"}
    assert asked["algebra"]["chat"] == "plain"
    assert asked["puzzles"]["chat"] == settings.of_training(plan, "add")["chat"] == {"system": "Be brief.", **arguments}
    # Parts of the chat are in the stages that use them only.
    assert "chat" not in asked["sums"]["task"][1]
    [entry] = settings.of_fitness(plan, ("sums",))["tasks"]
    assert entry["definition"]["stop"] == ["Q:"]
    assert "chat" not in entry["definition"]
    assert parse_task(entry["name"], entry["definition"]).stop == ["Q:"]
    assert "stop" not in settings.of_fitness(plan_of(), ("sums",))["tasks"][0]["definition"]


def test_missing_chat_template_of_a_task_is_one_line(tmp_path):
    plan = plan_of(tasks={"sums": {"chat": {"template_file": str(tmp_path / "away.jinja")}}})
    with pytest.raises(GenomeError, match=r"away\.jinja: no such file$"):
        settings.of_prompts(plan, "micro", "sums")


def test_settings_of_a_race_name_its_version(plan):
    given = settings.of_search(plan, SINGLE, "genome_plus-racing")
    assert given["races"] == racing.VERSION
    assert given["racing"]["looks"] == [20, 40, 80, 120]


def test_settings_are_canonical_text():
    assert canonical({"b": (1, 2.5), "a": None}) == '{"a": null, "b": [1, 2.5]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_an_unknown_task_is_refused_with_the_nearest_name(plan):
    with pytest.raises(GenomeError, match="unknown task 'sumz'; did you mean 'sums'"):
        settings.of_split(plan, "sumz")


def test_objective_is_in_the_settings_only_if_it_is_not_the_papers(plan):
    for name, text in texts(plan).items():
        assert not {"objective", "samples", "calibrated", "finalists", "redraw"} & set(re.findall(r'"(\w+)":', text)), (
            name
        )


def test_settings_of_a_search_by_likelihood_name_its_version():
    variants = {"likely": {"method": "genome", "objective": "likelihood", "samples": 20, "finalists": 2}}
    plan = plan_of(variants=variants)
    found = runs.search_settings(plan, "likely")
    assert (found["objective"], found["samples"], found["likelihood"]) == ("likelihood", 20, 1)
    assert "finalists" not in found
    assert "likelihood" not in runs.search_settings(plan, "genome")
    initial = settings.of_initial(plan, SINGLE, "pairs-likelihood-s20")
    assert (initial["objective"], initial["samples"], initial["likelihood"]) == ("likelihood", 20, 1)
    run = RunName(SINGLE, "likely", 4, 1)
    measure = {"objective": "likelihood", "samples": 20}
    expected = {"finalists": 2, "result": "best_of", "measure": measure, "stage": plan.versions["finalists"]}
    assert settings.of_finalists(plan, run) == {**settings.of_fitness(plan, SINGLE), **expected}
    assert settings.of_export(plan, run)["settings"]["objective"] == "likelihood"


def test_continuations_depend_on_how_answers_are_read(plan):
    pattern = {"tasks": {"sums": {"pattern": "is (.*)"}}}
    assert settings.of_expected(plan, "micro", "sums") != settings.of_expected(plan_of(**pattern), "micro", "sums")
    assert settings.of_prompts(plan, "micro", "sums") == settings.of_prompts(plan_of(**pattern), "micro", "sums")


@pytest.mark.parametrize(
    ("changes", "is_changed"),
    [
        ({"methods": {"validation_lora": {"epochs": [4]}}}, True),
        ({"methods": {"validation_lora": {"learning_rate": 0.001}}}, True),
        ({"bases": {"micro": {"training": {"rank": 4}}}}, True),
        ({"bases": {"micro": {"chat": {"system": "Be brief."}}}}, True),
        ({"tasks": {"sums": {"pattern": "(.*)"}}}, True),
        ({"bases": {"micro": {"training": {"epochs": 9, "batch_size": 4, "kind": "dora", "seed": 3}}}}, False),
        ({"methods": {"genome": {"sigma": 0.5}}, "seeds": [1, 2, 3]}, False),
    ],
)
def test_lora_of_validation_samples_depends_on_what_it_is_taught_and_how(changes, is_changed):
    def given(plan):
        return canonical(settings.of_validation_lora(plan, SINGLE, "validation_lora"))

    assert (given(plan_of(**changes)) != given(plan_of())) == is_changed


SEARCHES = [name for name, method in METHODS.items() if method.stage == "generation"]


@pytest.mark.parametrize("method", SEARCHES)
@pytest.mark.parametrize("changes", [{}, {"budget": "100k samples"}, {"budget": "1 M tokens"}])
def test_no_generation_depends_on_how_many_there_are(method, changes):
    short, long = (plan_of(generations=number, methods={method: changes}) for number in (3, 5))
    run = RunName(("sums",), method, 4, 1)
    for number in short.generations:
        texts = [settings.generation_text(plan, run, number) for plan in (short, long)]
        assert texts[0] == texts[1]
        assert runs.previous_of(short, run, number) == runs.previous_of(long, run, number)
        assert budget.spent_records(short, run, number) == budget.spent_records(long, run, number)
    assert runs.populations_of(short, run) == runs.populations_of(long, run)[:4]
