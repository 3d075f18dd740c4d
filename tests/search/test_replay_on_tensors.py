"""GENOME+ on tensors: what a run on genotypes must be equal to.

`replay_on_tensors` is Algorithm 2 as the paper writes it: operations on the weights of adapters. It takes names,
parents, operators and fitness from a run on genotypes, and computes the weights of every individual from the weights
of its parents. The adapters that are built from genotypes must have the same weights.
"""

import numpy as np

from builders import evolve, paper_settings
from genome.experts.tensors import open_tensors
from genome.lora.materialise import WEIGHTS, materialise
from genome.lora.noise import unit_noise
from genome.rng import stream
from genome.search.records import read_population, write_population


def test_members_built_from_genotypes_have_the_weights_of_the_replay(make_experts, tmp_path):
    """In memory and after reading them from a file."""
    experts = make_experts(4)
    phi = {"phi_self": 0.9, "phi_best": 0.3, "phi_current": 0.1, "phi_worst": 0.15}
    settings = paper_settings("genome_plus", sigma=0.05, crossover_rate=0.8, succession=phi)
    history, _ = evolve(settings, generations=4, size=6, experts=experts)
    weights = replay_on_tensors(history, settings, experts, seed=1)
    for generation, population in enumerate(history):
        path = tmp_path / f"population{generation}.json"
        write_population(path, population, experts)
        read = read_population(path).members
        folders = [tmp_path / f"{generation}-{kind}-{x.name}" for kind in ("kept", "read") for x in read]
        ids = materialise([x.genotype for x in (*population.members, *read)], experts, folders)
        assert ids[: len(read)] == ids[len(read) :]
        for member, folder in zip(read, folders, strict=False):
            for name, values in open_tensors(folder / WEIGHTS).items():
                np.testing.assert_allclose(values, weights[member.name][name], rtol=1e-4, atol=1e-5)


def replay_on_tensors(history, settings, experts, seed):
    """Return the weights of each individual in `history` by Algorithm 2."""
    sources = [
        {
            name: values / np.float32(1 if "lora_A" in name else expert.scale)
            for name, values in open_tensors(expert.path).items()
        }
        for expert in experts
    ]
    names = list(sources[0])
    w, e, fitness = {}, {}, {}

    def mix(*terms):
        return {name: sum(np.float32(factor) * tensors[name] for factor, tensors in terms) for name in names}

    def experience(name, members, generation):
        others = [member for member in members if member != name]
        other = others[stream(seed, "experience", generation, name).integers(len(others))]
        return mix((1, w[other]), (-1, w[name]))

    for x in history[0].members:
        w[x.name] = mix(*zip(x.genotype.coefficients, sources, strict=True))
        fitness[x.name] = x.score
    first = [x.name for x in history[0].members]
    e.update({name: experience(name, first, 0) for name in first})
    phi, step = settings["succession"], settings["succession"]["step"]
    total = phi["phi_self"] + phi["phi_best"] + phi["phi_current"] + phi["phi_worst"]
    for generation, population in enumerate(history[1:], start=1):
        members = [x.name for x in history[generation - 1].members]
        offspring = [x for x in population.created if x.operator != "succession"]
        for x in offspring:
            parents = [w[name] for name in x.parents]
            if x.operator == "crossover":
                f1, f2 = (fitness[name] for name in x.parents)
                w[x.name] = mix((f1 / (f1 + f2), parents[0]), (f2 / (f1 + f2), parents[1]))
            else:
                known = {n.seed for y in created_before(history, generation, x) for n in y.genotype.noise}
                [fresh] = [n.seed for n in x.genotype.noise if n.seed not in known]
                noise = {n: unit_noise(fresh, 0.2, n, v.size).reshape(v.shape) for n, v in parents[0].items()}
                w[x.name] = mix((1, parents[0]), (settings["sigma"], noise))
            fitness[x.name] = x.score
        e.update({x.name: experience(x.name, members, generation) for x in offspring})
        best, worst = max(fitness, key=fitness.get), min(fitness, key=fitness.get)
        current = max([*members, *(x.name for x in offspring)], key=fitness.get)
        new_w, new_e = {}, {}
        for x in (x for x in population.created if x.operator == "succession"):
            [old] = x.parents
            pulls = [(phi["phi_best"], best), (phi["phi_current"], current), (-phi["phi_worst"], worst)]
            terms = [(f / total, mix((1, w[name]), (-1, w[old]))) for f, name in pulls]
            new_e[x.name] = mix((phi["phi_self"] / total, e[old]), *terms)
            new_w[x.name] = mix((1, w[old]), (step, new_e[x.name]))
            fitness[x.name] = x.score
        w.update(new_w)
        e.update(new_e)
    return w


def created_before(history, generation, individual):
    for population in history[:generation]:
        yield from (*population.members, *population.created)
    for other in history[generation].created:
        if other.name == individual.name:
            return
        yield other
