"""Estimates from two samples of transitions: do the dynamics differ, does a representation carry over.

Every sample is split in time: the first half of its rows is fitted on, the second measured on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from rl_transfer.core import isolated

Floats = NDArray[np.float64]

HIDDEN = 32
"""Units of the classifiers' one hidden layer."""
ITERATIONS = 100
WEIGHT_DECAY = 1e-4
NOISE, NOISY_COPIES = 0.3, 2
"""Standard deviations of noise that the classifiers' inputs get, and how often each row is seen with it."""
MOST_ROWS = 1000
"""Of one domain that a classifier is fitted on, and of states that are compared in pairs."""
RIDGE = 1e-2
"""Penalty of the linear map on standardised inputs, per row."""
NEIGHBOURS = 5


def halves(samples: Sequence[Floats], most: int = 10**9) -> tuple[Floats, Floats]:
    """Samples split in time, put together again.

    Args:
        samples: each ``[n, d]``, in the order in which it was collected.
        most: rows of each half of each sample; of more, so many are taken at even distances.

    Returns:
        The first halves, and the second halves.
    """
    cut = [((each[: (len(each) + 1) // 2]), each[(len(each) + 1) // 2 :]) for each in samples]
    first, second = (np.concatenate([thinned(each[i], most) for each in cut]) for i in (0, 1))
    return first, second


def thinned(rows: Floats, most: int) -> Floats:
    """At most so many rows, at even distances.

    Args:
        rows: ``[n, d]``.
        most: how many, ≥ 1.

    Returns:
        ``[min(n, most), d]``.
    """
    if len(rows) <= most:
        return rows
    found: Floats = rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]
    return found


def dynamics_gap(
    source: Sequence[tuple[Floats, Floats]], target: Sequence[tuple[Floats, Floats]], seed: int
) -> tuple[float, float]:
    """How surely a step tells whether the source's or the target's dynamics made it.

        Δr(s, a, s′) = log p(T | s, a, s′) / p(S | s, a, s′) − log p(T | s, a) / p(S | s, a)
                     = log p_T(s′ | s, a) / p_S(s′ | s, a)  for the best classifiers
        gap = ½ (E_T Δr − E_S Δr): half of Jeffreys' divergence of the two dynamics

    Two perceptrons (one hidden layer, L-BFGS, weight decay; both domains weigh the same) are fitted on the
    first half of every sample, the means are over the second halves. As in the paper the classifiers see
    noise: 0.3 standard deviations on every input, in both halves. Without it any two deterministic dynamics
    are told apart for certain, however near they are.

    Args:
        source: samples of its environment, each ``(s, a)`` as ``[n, d]`` and ``s′ − s`` as ``[n, k]``.
        target: samples of the target, collected in the same ways.
        seed: of the noise and of the classifiers' first weights.

    Returns:
        The gap in nats, about 0 for equal dynamics (chance may take it below); and the area under the curve
        with which Δr tells held-out steps of the target from those of the source: 0.5 for equal dynamics, 1
        where every step tells.

    Source:
        Eysenbach et al. (2021), "Off-Dynamics Reinforcement Learning: Training for Transfer with Domain
        Classifiers", ICLR, equations 3–4 (their correction of the reward).
    """
    rows = [
        halves([np.hstack(each) for each in domain], most=MOST_ROWS // len(domain))
        for domain in (source, target)
    ]
    fit, test = (_noisy([each[i] for each in rows], rows, seed, i) for i in (0, 1))
    pair = source[0][0].shape[1]
    with isolated(seed):
        ratios = _log_odds(fit, test) - _log_odds(
            [each[:, :pair] for each in fit], [e[:, :pair] for e in test]
        )
    ours, theirs = ratios[: len(test[0])], ratios[len(test[0]) :]
    return float(theirs.mean() - ours.mean()) / 2, area_under_curve(theirs, ours)


def _noisy(
    domains: Sequence[Floats], rows: Sequence[tuple[Floats, Floats]], seed: int, half: int
) -> list[Floats]:
    """Standardised by the first halves, several times with noise of its own."""
    fitted = np.concatenate([first for first, _ in rows])
    mean, scale = fitted.mean(axis=0), fitted.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    rng = np.random.default_rng([seed, half])
    return [
        np.concatenate(
            [(each - mean) / scale + NOISE * rng.standard_normal(each.shape) for _ in range(NOISY_COPIES)]
        )
        for each in domains
    ]


def _log_odds(fit: Sequence[Floats], test: Sequence[Floats]) -> Floats:
    """Of the second domain against the first, for the test rows of both, one after the other."""
    x = torch.as_tensor(np.concatenate(fit))
    labels = torch.cat(
        [torch.full((len(each),), float(i), dtype=torch.float64) for i, each in enumerate(fit)]
    )
    weights = torch.cat([torch.full((len(each),), 0.5 / len(each), dtype=torch.float64) for each in fit])
    network = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)).double()
    solver = torch.optim.LBFGS(network.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        solver.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            network(x).squeeze(1), labels, weight=weights, reduction="sum"
        )
        loss = loss + WEIGHT_DECAY * torch.stack([each.square().sum() for each in network.parameters()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        solver.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found: Floats = network(torch.as_tensor(np.concatenate(test))).squeeze(1).numpy()
    return found


def area_under_curve(positive: Floats, negative: Floats) -> float:
    """The probability that a positive has the greater value; ties count half.

    >>> area_under_curve(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    0.625

    Args:
        positive: ``[n]``.
        negative: ``[m]``.

    Returns:
        From 0 to 1.
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(ordered))


def representation_deviation(
    source: Sequence[tuple[Floats, Floats]], target: Sequence[tuple[Floats, Floats]]
) -> tuple[float, float]:
    """How far the next representation on the target is from where the source's dynamics would put it.

        D = E_target ‖φ(s′) − g(φ(s), a)‖² / E_source ‖φ(s′) − mean φ(s′)‖²

    with φ what enters the source's action head, and g the ridge regression of φ(s′) on φ(s), a, φ(s)⊗a and 1,
    fitted on the first half of the source's transitions.

    Args:
        source: samples at home, each the inputs of g as ``[n, d]`` and φ(s′) as ``[n, k]``.
        target: the same of the target; all of it is measured on.

    Returns:
        D on the target, and on the source's own held-out half; from 0, unit 1. NaN for features that never
        change.

    Source:
        after Lyu et al. (2024), "Cross-Domain Policy Adaptation by Capturing Representation Mismatch"
        (PAR), ICML, arXiv 2405.15369, equations 4–6. Theirs fits two encoders on the *target* and measures
        the *source's* transitions, to penalise their rewards, with ‖f(s′) − g(f(s), a)‖² as it is; ours
        takes the source's own representation, fits g at home, where steps cost no target sample, and divides
        by the spread, so that sources with other features compare.
    """
    fit = [halves([each[i] for each in source]) for i in (0, 1)]
    (x, x_held), (y, y_held) = fit
    mean, scale, centre = x.mean(axis=0), x.std(axis=0), y.mean(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    weights = _ridge((x - mean) / scale, y - centre)
    spread = float(np.square(y - centre).sum(axis=1).mean())
    if spread <= 1e-12:
        return float("nan"), float("nan")

    def deviation(inputs: Floats, outputs: Floats) -> float:
        errors = outputs - centre - ((inputs - mean) / scale) @ weights
        return float(np.square(errors).sum(axis=1).mean()) / spread

    x_target, y_target = (np.concatenate([each[i] for each in target]) for i in (0, 1))
    return deviation(x_target, y_target), deviation(x_held, y_held)


def with_actions(features: Floats, actions: Floats) -> Floats:
    """The inputs of g: features, actions and their products.

    Args:
        features: ``[n, d]``.
        actions: ``[n, k]``, discrete ones one-hot.

    Returns:
        ``[n, d + k + d · k]``.
    """
    products = features[:, :, None] * actions[:, None, :]
    return np.hstack([features, actions, products.reshape(len(features), -1)])


def _ridge(inputs: Floats, outputs: Floats) -> Floats:
    """The linear map of least squared error and weights, through whichever of the two systems is smaller."""
    rows, columns = inputs.shape
    penalty = RIDGE * rows
    if columns <= rows:
        primal: Floats = np.linalg.solve(inputs.T @ inputs + penalty * np.eye(columns), inputs.T @ outputs)
        return primal
    dual: Floats = inputs.T @ np.linalg.solve(inputs @ inputs.T + penalty * np.eye(rows), outputs)
    return dual


def state_coverage(home: Floats, target: Floats) -> float:
    """Share of the target's states near which the source has been.

    A state of the target counts if one of the source's lies no farther from it than its fifth neighbour
    among the target's states, each coordinate in standard deviations of the target's.

    Args:
        home: ``[n, d]``, states that the source's environment was seen in.
        target: ``[m, d]``, states of the target.

    Returns:
        From 0 to 1; NaN with fewer than seven states of the target.

    Source:
        coverage of Naeem et al. (2020), "Reliable Fidelity and Diversity Metrics for Generative Models",
        ICML, equation 8, with the target's states as the real sample and k = 5.
    """
    if len(target) < NEIGHBOURS + 2:
        return float("nan")
    scale = target.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    real, fake = (thinned(each, MOST_ROWS) / scale for each in (target, home))
    radius = np.sort(_squared_distances(real, real), axis=1)[:, NEIGHBOURS]
    return float((_squared_distances(real, fake).min(axis=1) <= radius + 1e-12).mean())


def _squared_distances(first: Floats, second: Floats) -> Floats:
    lengths = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None]
    found: Floats = np.maximum(lengths - 2 * first @ second.T, 0.0)
    return found
