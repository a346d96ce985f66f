"""Proximal policy optimisation (Schulman et al. 2017) as Stable-Baselines3 computes it.

A2C (Mnih et al. 2016) is its case of one epoch over one minibatch, where the ratio is 1.
"""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.engine.acting import DIMENSIONS, KIND, LOG_STD, POLICY_NODE, VALUE_NODE
from rl_transfer.engine.arrays import Doubles, Integers, Matrix, Vector
from rl_transfer.engine.compiling import kernel
from rl_transfer.engine.distributions import CATEGORICAL, log_probability, normalize_logits, pull_back
from rl_transfer.engine.generators import ORDER, shuffle
from rl_transfer.engine.network import (
    INPUTS,
    MOVING,
    OUTPUTS,
    STILL,
    backward,
    forward,
    offset_of,
    output,
    part,
)
from rl_transfer.engine.optimizers import clip_gradient, pull, step

CLIP, CLIP_VALUE, NORMALIZE, ENTROPY, VALUE, LIMIT, TARGET_KL = range(7)
"""Entries of ``settings``: clip range (infinite for A2C), clip range of values (negative: none), whether
advantages are normalised, weights of entropy and value loss, largest norm of the gradient, target of the
KL divergence (negative: none)."""

(
    POLICY_LOSS,
    VALUE_LOSS,
    ENTROPY_LOSS,
    KL,
    CLIPPED,
    LOSS,
    NORM,
    MINIBATCHES,
    EPOCHS,
    STOPPED,
) = range(10)
"""Entries of ``statistics``; sums over minibatches, but for the last loss, norm and KL, the counts of
minibatches and whole epochs, and whether the target of the KL divergence ended the update."""


@kernel
def losses(
    settings: Doubles,
    chosen: Integers,
    head_values: Matrix,
    log_probabilities: Vector,
    entropy: Vector,
    old_values: Vector,
    old_log_probabilities: Vector,
    advantages: Vector,
    returns: Vector,
    slope: Vector,
    value_slope: Matrix,
    statistics: Doubles,
) -> None:
    """The loss of one minibatch and its derivatives with respect to log p(a) and V.

    Args:
        settings: ``[entry]``.
        chosen: ``[row]``, where the minibatch's rows lie in the rollout.
        head_values: ``[row, 1]``, V.
        log_probabilities: ``[row]``.
        entropy: ``[row]``.
        old_values: ``[transition]``, V when the rollout was made.
        old_log_probabilities: ``[transition]``, likewise.
        advantages: ``[transition]``.
        returns: ``[transition]``.
        slope: ``[row]``, gets the derivative with respect to log p(a).
        value_slope: ``[row, 1]``, gets the derivative with respect to V.
        statistics: ``[entry]``, added to.
    """
    rows = chosen.shape[0]
    share = 1.0 / rows
    mean, deviation = 0.0, 1.0
    if settings[NORMALIZE] > 0.0 and rows > 1:
        for i in range(rows):
            mean += advantages[chosen[i]] * share
        square = 0.0
        for i in range(rows):
            square += (advantages[chosen[i]] - mean) ** 2
        deviation = math.sqrt(square / (rows - 1)) + 1e-8
    clip, clip_value = settings[CLIP], settings[CLIP_VALUE]
    policy_loss, value_loss, total_entropy, kl, clipped = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(rows):
        at = chosen[i]
        advantage = (advantages[at] - mean) / deviation
        if math.isinf(clip):
            policy_loss -= advantage * log_probabilities[i] * share
            slope[i] = np.float32(-advantage * share)
        else:
            log_ratio = log_probabilities[i] - old_log_probabilities[at]
            ratio = math.exp(log_ratio)
            bounded = ratio if ratio < 1.0 + clip else 1.0 + clip
            bounded = bounded if bounded > 1.0 - clip else 1.0 - clip
            inside = bounded == ratio
            free, held = advantage * ratio, advantage * bounded
            policy_loss -= (free if free < held or inside else held) * share
            slope[i] = np.float32(-free * share) if inside or free < held else np.float32(0.0)
            kl += (ratio - 1.0 - log_ratio) * share
            clipped += share if abs(ratio - 1.0) > clip else 0.0
        v, passes = np.float64(head_values[i, 0]), True
        if clip_value >= 0.0:
            moved = v - old_values[at]
            passes = abs(moved) <= clip_value
            moved = moved if moved < clip_value else clip_value
            moved = moved if moved > -clip_value else -clip_value
            v = old_values[at] + moved
        error = v - returns[at]
        value_loss += error * error * share
        value_slope[i, 0] = np.float32(settings[VALUE] * 2.0 * error * share) if passes else np.float32(0.0)
        total_entropy += entropy[i] * share
    statistics[POLICY_LOSS] += policy_loss
    statistics[VALUE_LOSS] += value_loss
    statistics[ENTROPY_LOSS] -= total_entropy
    statistics[KL] = kl
    statistics[CLIPPED] += clipped
    statistics[LOSS] = policy_loss - settings[ENTROPY] * total_entropy + settings[VALUE] * value_loss
    statistics[MINIBATCHES] += 1.0


@kernel
def minibatch(
    layers: Integers,
    shape: Integers,
    sizes: Integers,
    gathered: Integers,
    parameters: Vector,
    gradient: Vector,
    values: Vector,
    before: Vector,
    deltas: Vector,
    spare: Vector,
    still: Vector,
    transitions: int,
    chosen: Integers,
    actions: Matrix,
    old_values: Vector,
    old_log_probabilities: Vector,
    advantages: Vector,
    returns: Vector,
    settings: Doubles,
    chosen_actions: Matrix,
    rows_memory: Matrix,
    statistics: Doubles,
) -> None:
    """Gradient of the loss of one minibatch; parameters are not changed.

    Args:
        layers: ``[layer, column]``.
        shape: ``[entry]``.
        sizes: ``[group]``.
        gathered: ``[node]``, nodes that are read from ``still``.
        parameters: ``[number]``.
        gradient: ``[number]``, overwritten where something is trained.
        values: workspace of the minibatch.
        before: likewise.
        deltas: likewise.
        spare: likewise.
        still: values of the observations and of constant nodes over the whole rollout, node after node.
        transitions: of the rollout.
        chosen: ``[row]``, where the minibatch's rows lie in the rollout.
        actions: ``[transition, dimension]``.
        old_values: ``[transition]``.
        old_log_probabilities: ``[transition]``.
        advantages: ``[transition]``.
        returns: ``[transition]``.
        settings: ``[entry]``.
        chosen_actions: ``[row, dimension]``, workspace.
        rows_memory: ``[3, row]``, workspace.
        statistics: ``[entry]``, added to.
    """
    rows = chosen.shape[0]
    for node in gathered:
        width = layers[0, INPUTS] if node == 0 else layers[node - 1, OUTPUTS]
        whole = part(still, offset_of(layers, node), transitions, width)
        here = output(layers, node, values, rows)
        for i in range(rows):
            for j in range(width):
                here[i, j] = whole[chosen[i], j]
    for i in range(rows):
        for j in range(actions.shape[1]):
            chosen_actions[i, j] = actions[chosen[i], j]
    forward(layers, parameters, values, before, rows, MOVING)
    head = output(layers, shape[POLICY_NODE], values, rows)
    critic = output(layers, shape[VALUE_NODE], values, rows)
    log_std = parameters[shape[LOG_STD] : shape[LOG_STD] + shape[DIMENSIONS]]
    log_probabilities, entropy, slope = rows_memory[0, :rows], rows_memory[1, :rows], rows_memory[2, :rows]
    now = chosen_actions[:rows]
    if shape[KIND] == CATEGORICAL:
        normalize_logits(sizes, head)
    log_probability(shape[KIND], sizes, head, log_std, now, log_probabilities, entropy)
    losses(
        settings,
        chosen,
        critic,
        log_probabilities,
        entropy,
        old_values,
        old_log_probabilities,
        advantages,
        returns,
        slope,
        output(layers, shape[VALUE_NODE], deltas, rows),
        statistics,
    )
    pull_back(
        shape[KIND],
        sizes,
        head,
        log_std,
        now,
        slope,
        -settings[ENTROPY] / rows,
        output(layers, shape[POLICY_NODE], deltas, rows),
        gradient[shape[LOG_STD] : shape[LOG_STD] + shape[DIMENSIONS]],
    )
    backward(layers, parameters, values, before, deltas, spare, gradient, rows)


@kernel
def update(
    layers: Integers,
    shape: Integers,
    sizes: Integers,
    gathered: Integers,
    parameters: Vector,
    gradient: Vector,
    first: Vector,
    second: Vector,
    spans: Integers,
    rates: Doubles,
    steps: Vector,
    optimizer: int,
    constants: Doubles,
    anchor: Vector,
    stiffness: Vector,
    values: Vector,
    before: Vector,
    deltas: Vector,
    spare: Vector,
    still: Vector,
    still_before: Vector,
    observations: Matrix,
    actions: Matrix,
    old_values: Vector,
    old_log_probabilities: Vector,
    advantages: Vector,
    returns: Vector,
    settings: Doubles,
    epochs: int,
    batch: int,
    order: Integers,
    shuffled: bool,
    key: int,
    place: int,
    chosen_actions: Matrix,
    rows_memory: Matrix,
    statistics: Doubles,
) -> None:
    """All epochs and minibatches over one rollout.

    Args:
        layers: ``[layer, column]``.
        shape: ``[entry]``.
        sizes: ``[group]``.
        gathered: ``[node]``, nodes that minibatches do not compute.
        parameters: ``[number]``, changed in place.
        gradient: ``[number]``, workspace.
        first: ``[number]``, the optimizer's moments.
        second: ``[number]``, likewise.
        spans: ``[tensor, column]``.
        rates: ``[tensor]``.
        steps: ``[tensor]``.
        optimizer: its kind.
        constants: its constants.
        anchor: ``[number]``, what parameters are pulled to after clipping; empty for none.
        stiffness: ``[number]``, how hard.
        values: workspace of ``batch`` rows.
        before: likewise.
        deltas: likewise.
        spare: likewise.
        still: workspace of all transitions; what is constant is computed once, into it.
        still_before: likewise.
        observations: ``[transition, entry]``.
        actions: ``[transition, dimension]``.
        old_values: ``[transition]``, V when the rollout was made.
        old_log_probabilities: ``[transition]``, log p(a) likewise.
        advantages: ``[transition]``.
        returns: ``[transition]``.
        settings: ``[entry]``.
        epochs: passes over the rollout.
        batch: rows of a minibatch; the last one of an epoch may have fewer.
        order: ``[transition]``; the order of the transitions, where it is not drawn anew.
        shuffled: whether each epoch draws an order.
        key: of the generator.
        place: of this update's first order in its stream.
        chosen_actions: ``[batch, dimension]``, workspace.
        rows_memory: ``[3, batch]``, workspace.
        statistics: ``[entry]``, overwritten.
    """
    transitions = observations.shape[0]
    statistics[:] = 0.0
    output(layers, 0, still, transitions)[:] = observations
    forward(layers, parameters, still, still_before, transitions, STILL)
    for epoch in range(epochs):
        if shuffled:
            shuffle(order, key, ORDER, place + epoch)
        for begin in range(0, transitions, batch):
            end = begin + batch if begin + batch < transitions else transitions
            minibatch(
                layers,
                shape,
                sizes,
                gathered,
                parameters,
                gradient,
                values,
                before,
                deltas,
                spare,
                still,
                transitions,
                order[begin:end],
                actions,
                old_values,
                old_log_probabilities,
                advantages,
                returns,
                settings,
                chosen_actions,
                rows_memory,
                statistics,
            )
            if settings[TARGET_KL] >= 0.0 and statistics[KL] > 1.5 * settings[TARGET_KL]:
                statistics[STOPPED] = 1.0
                return
            statistics[NORM] = clip_gradient(gradient, spans, settings[LIMIT])
            pull(parameters, gradient, spans, anchor, stiffness)
            step(optimizer, constants, parameters, gradient, first, second, spans, rates, steps)
        statistics[EPOCHS] += 1.0
