"""Teams: chosen by the score of their ensemble on validation data."""

import sys
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from builders import make_task, population
from genome.scoring import ensemble
from genome.scoring.teams import TEAMS, choose_team, teams
from genome.tasks.scoring import Scores

TASK = make_task("number")
SAMPLES = [{"id": str(i), "reference": "1"} for i in range(6)]


def answers(members, *right):
    return {
        member.genotype: {"t": ["1" if i in samples else f"{member.name[1]}9" for i in range(6)]}
        for member, samples in zip(members, right, strict=True)
    }


def test_members_with_other_errors_are_chosen_before_copies():
    """Three near copies vote as one does; two who are less fit and right elsewhere outvote its errors."""
    run = population(4 / 6, 4 / 6, 4 / 6, 3 / 6, 3 / 6)
    right = [{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}, {2, 4, 5}, {3, 4, 5}]
    team = choose_team(run, 3, [(TASK, SAMPLES, 1.0)], answers(run.members, *right), {"metric": "chrf"})
    assert [x.name for x in team] == ["x0", "x3", "x4"]


def test_the_fittest_are_chosen_if_no_team_is_better():
    run = population(5 / 6, 4 / 6, 4 / 6, 0)
    right = [{0, 1, 2, 3, 4}, {0, 1, 2, 3}, {0, 1, 2, 3}, set()]
    team = choose_team(run, 3, [(TASK, SAMPLES, 1.0)], answers(run.members, *right), {"metric": "chrf"})
    assert [x.name for x in team] == ["x0", "x1", "x2"]


def test_a_population_smaller_than_a_team_is_the_team():
    run = population(1.0, 0.5)
    everything = answers(run.members, {0}, {1})
    assert len(choose_team(run, 3, [(TASK, SAMPLES, 1.0)], everything, {"metric": "chrf"})) == 2


@given(st.integers(1, 120), st.integers(1, 6))
def test_the_fittest_come_first_and_there_are_not_too_many(members, k):
    found = teams(members, k)
    assert found[0] == tuple(range(min(k, members)))
    assert len(found) == len(set(found)) <= TEAMS
    assert all(team == tuple(sorted(set(team))) for team in found)
    if members >= k:
        assert {len(team) for team in found} == {k}


def test_each_pair_of_answers_is_compared_once_for_all_teams(monkeypatch):
    """Five members that all answer differently are ten pairs a sample; ten teams of three would ask for thirty."""
    asked = []

    def similarities(pairs, similarity):
        asked.append(list(pairs))
        return [(len(a) + len(b)) / 100 for a, b in pairs]

    monkeypatch.setattr("genome.scoring.ensemble._similarities", similarities)
    task = make_task("program", tests="a", metric="pass@1")
    monkeypatch.setattr("genome.scoring.teams.judge", lambda task, samples, votes: [Scores(0.0, (), 0) for _ in votes])
    run = population(0.5, 0.4, 0.3, 0.2, 0.1)
    given = {member.genotype: {"t": [member.name * (3 + i) for i in range(6)]} for member in run.members}
    choose_team(run, 3, [(task, SAMPLES, 1.0)], given, {"metric": "chrf"})
    [pairs] = asked
    assert len(pairs) == len({*pairs}) == 6 * 10


def test_encoder_is_loaded_once_and_each_pair_of_answers_is_scored_once(monkeypatch):
    """Two tasks, ten teams of three of five members: without sharing, 2 x 10 x 6 x 3 = 360 pairs."""
    loaded, scored = [], []

    def score(first, second):
        scored.extend(zip(first, second, strict=True))
        values = np.array([(len(a) + len(b)) / 100 for a, b in zip(first, second, strict=True)])
        return values, values, values

    def load(**settings):
        loaded.append(settings)
        model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=514))
        return SimpleNamespace(_model=model, _tokenizer=SimpleNamespace(model_max_length=512), score=score)

    monkeypatch.setitem(sys.modules, "bert_score", SimpleNamespace(BERTScorer=load))
    ensemble._scorer.cache_clear()
    monkeypatch.setattr("genome.scoring.teams.judge", lambda task, samples, votes: [Scores(0.0, (), 0) for _ in votes])
    tasks = [make_task("program", name, tests="a", metric="pass@1") for name in ("t", "u")]
    run = population(0.5, 0.4, 0.3, 0.2, 0.1)
    given = {
        member.genotype: {task.name: [f"{task.name} {member.name}" * (1 + i) for i in range(6)] for task in tasks}
        for member in run.members
    }
    encoder = {"metric": "bertscore", "model": "an/encoder", "layer": 6}
    choose_team(run, 3, [(task, SAMPLES, 0.5) for task in tasks], given, encoder)
    assert len(loaded) == 1
    assert len(scored) == len({*scored}) == 2 * 6 * 10
    ensemble._scorer.cache_clear()
