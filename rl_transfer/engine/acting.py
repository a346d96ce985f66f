"""An actor-critic acts: sampled actions, their log-probabilities, values of observations."""

from __future__ import annotations

from rl_transfer.engine.arrays import Integers, Matrix, Vector
from rl_transfer.engine.compiling import kernel
from rl_transfer.engine.distributions import CATEGORICAL, log_probability, normalize_logits, sample
from rl_transfer.engine.network import ALL, forward, output

POLICY_NODE, VALUE_NODE, LOG_STD, DIMENSIONS, KIND = range(5)
"""Entries of ``shape``: nodes of action and value head, offset and length of ``log_std`` among the
parameters (length 0: none), kind of the distribution."""


@kernel
def act(
    layers: Integers,
    shape: Integers,
    sizes: Integers,
    parameters: Vector,
    values: Vector,
    before: Vector,
    observations: Matrix,
    key: int,
    place: int,
    actions: Matrix,
    found: Vector,
    log_probabilities: Vector,
    entropy: Vector,
) -> None:
    """Sample actions, with their log-probabilities and the values of the observations.

    Args:
        layers: ``[layer, column]``.
        shape: ``[entry]``.
        sizes: ``[group]``.
        parameters: ``[number]``.
        values: workspace.
        before: workspace.
        observations: ``[row, entry]``.
        key: of the generator.
        place: of the draw in its stream.
        actions: ``[row, dimension]``, overwritten.
        found: ``[row]``, gets V.
        log_probabilities: ``[row]``, gets log p(a).
        entropy: ``[row]``, overwritten.
    """
    rows = observations.shape[0]
    output(layers, 0, values, rows)[:] = observations
    forward(layers, parameters, values, before, rows, ALL)
    head = output(layers, shape[POLICY_NODE], values, rows)
    log_std = parameters[shape[LOG_STD] : shape[LOG_STD] + shape[DIMENSIONS]]
    if shape[KIND] == CATEGORICAL:
        normalize_logits(sizes, head)
    sample(shape[KIND], sizes, head, log_std, key, place, actions)
    log_probability(shape[KIND], sizes, head, log_std, actions, log_probabilities, entropy)
    critic = output(layers, shape[VALUE_NODE], values, rows)
    for i in range(rows):
        found[i] = critic[i, 0]


@kernel
def value(
    layers: Integers,
    node: int,
    parameters: Vector,
    values: Vector,
    before: Vector,
    observations: Matrix,
    found: Vector,
) -> None:
    """V of some observations.

    Args:
        layers: ``[layer, column]``.
        node: of the value head.
        parameters: ``[number]``.
        values: workspace.
        before: workspace.
        observations: ``[row, entry]``.
        found: ``[row]``, gets V.
    """
    rows = observations.shape[0]
    output(layers, 0, values, rows)[:] = observations
    forward(layers, parameters, values, before, rows, ALL)
    critic = output(layers, node, values, rows)
    for i in range(rows):
        found[i] = critic[i, 0]


@kernel
def greedy(
    layers: Integers,
    node: int,
    sizes: Integers,
    parameters: Vector,
    values: Vector,
    before: Vector,
    observations: Matrix,
    actions: Matrix,
) -> None:
    """The likeliest actions, or those of the largest value.

    Args:
        layers: ``[layer, column]``.
        node: of the action head.
        sizes: ``[group]``, choices of each categorical; empty where the head gives the action itself.
        parameters: ``[number]``.
        values: workspace.
        before: workspace.
        observations: ``[row, entry]``.
        actions: ``[row, dimension]``, overwritten.
    """
    rows = observations.shape[0]
    output(layers, 0, values, rows)[:] = observations
    forward(layers, parameters, values, before, rows, ALL)
    head = output(layers, node, values, rows)
    if sizes.shape[0] == 0:
        actions[:] = head
        return
    for i in range(rows):
        start = 0
        for group in range(sizes.shape[0]):
            best = start
            for j in range(start + 1, start + sizes[group]):
                best = j if head[i, j] > head[i, best] else best
            actions[i, group] = best - start
            start += sizes[group]
