"""Pack of LLMs (Mavromatis et al. 2024, arXiv 2404.11531): how much each of several adapters counts for a prompt.

At each step of an answer, the logits of the adapters are added with these weights, which depend on the prompt alone.
"""

import torch
from torch.nn.functional import cross_entropy

SHARES = 21
"""Shares that `opt` tries for each further adapter: 0, 0.05 … 1, as its authors do."""


def similar(losses: torch.Tensor, tau: float) -> torch.Tensor:
    """Return softmax(-loss / tau) over adapters (PackLLM-sim); losses and weights are [adapters, prompts].

    A loss is the mean negative log-likelihood (nats) of a prompt's tokens, the logarithm of its perplexity.
    """
    return torch.softmax(-losses / tau, dim=0)


def optimised(logits: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    """Return a prompt's weights [adapters] by a greedy search (PackLLM-opt).

    The adapter of lowest loss comes first; each further one gets the share that makes the loss of the sum lowest.
    `logits` are [adapters, tokens, vocabulary]; `following` [tokens] has the token that follows each place.
    """
    losses = torch.stack([cross_entropy(each, following) for each in logits])
    weights = torch.zeros(len(logits))
    first, *others = torch.argsort(losses, stable=True).tolist()
    weights[first], sum_so_far = 1.0, logits[first]
    for adapter in others:
        shares = torch.linspace(0, 1, SHARES)
        mixed = [share * sum_so_far + (1 - share) * logits[adapter] for share in shares]
        best = shares[torch.stack([cross_entropy(each, following) for each in mixed]).argmin()]
        weights *= best
        weights[adapter] = 1 - best
        sum_so_far = best * sum_so_far + (1 - best) * logits[adapter]
    return weights
