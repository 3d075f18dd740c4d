"""Populations: who is the best and the worst ever, and the fittest."""

from builders import ENGINE, individual
from genome.search.population import described, new_population, top, track


def test_track_keeps_the_earlier_best_and_worst_of_equals():
    population = new_population([individual("a", 0.5, 1.0), individual("b", 0.5, 2.0), individual("c", 0.2, 3.0)])
    assert (population.best.name, population.worst.name) == ("a", "c")
    population = track(population, [individual("d", 0.5, 4.0), individual("e", 0.2, 5.0), individual("f", 0.7, 6.0)])
    assert (population.best.name, population.worst.name) == ("f", "c")


def test_top_is_distinct_and_fittest_first():
    members = [
        individual("a", 0.5, 1.0),
        individual("b", 0.9, 2.0),
        individual("copy", 0.9, 2.0),
        individual("c", 0.5, 3.0),
    ]
    assert [x.name for x in top(new_population(members), 3)] == ["b", "a", "c"]
    assert [x.name for x in top(new_population(members[:1]), 3)] == ["a"]


def test_described_leaves_out_null_and_false():
    assert described({**ENGINE, "batch_invariant": True}) == "transformers 5.0, dtype float32, batch invariant"
    named = {"backend": "transformers", "version": "transformers 5.24.0, torch 2.13.0", "kv_cache_dtype": None}
    assert described({**named, "max_model_len": 512}) == "transformers 5.24.0, torch 2.13.0, max model len 512"
    assert described({**named, "version": None}) == "transformers"
    assert described(None) == "an unknown engine"
