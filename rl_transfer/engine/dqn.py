"""Deep Q-networks (Mnih et al. 2015) as Stable-Baselines3 computes them."""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.engine.arrays import Doubles, Integers, Matrix, Vector
from rl_transfer.engine.compiling import kernel
from rl_transfer.engine.generators import EXPLORATION, REPLAY, below, philox, unit
from rl_transfer.engine.network import ALL, OUTPUTS, backward, forward, output
from rl_transfer.engine.optimizers import clip_gradient, pull, step

GAMMA, LIMIT, CLIP_OBSERVATION, REWARD_SCALE, CLIP_REWARD = range(5)
"""Entries of ``settings``: discount, largest norm of the gradient, bound of normalised observations
(negative: they are used as they are), what rewards are divided by and their bound (negative: none)."""

LOSS, NORM, GRADIENT_STEPS = range(3)
"""Entries of ``statistics``: sum of the losses, last norm of the gradient, gradient steps."""


@kernel
def choose(
    layers: Integers,
    node: int,
    parameters: Vector,
    values: Vector,
    before: Vector,
    observations: Matrix,
    epsilon: float,
    key: int,
    place: int,
    actions: Integers,
) -> None:
    """ε-greedy actions; as in SB3 one draw decides for all environments whether they explore.

    Args:
        layers: ``[layer, column]``.
        node: of the action values.
        parameters: ``[number]``.
        values: workspace.
        before: workspace.
        observations: ``[environment, entry]``.
        epsilon: probability of uniform-random actions.
        key: of the generator.
        place: of the draw in its stream.
        actions: ``[environment]``, overwritten.
    """
    rows = observations.shape[0]
    a, _b, _c, _d = philox(key, EXPLORATION, place, 0)
    if unit(a) < epsilon:
        count = layers[node - 1, OUTPUTS]
        for i in range(rows):
            a, _b, _c, _d = philox(key, EXPLORATION, place, i + 1)
            actions[i] = below(a, count)
        return
    output(layers, 0, values, rows)[:] = observations
    forward(layers, parameters, values, before, rows, ALL)
    found = output(layers, node, values, rows)
    for i in range(rows):
        best = 0
        for j in range(1, found.shape[1]):
            if found[i, j] > found[i, best]:
                best = j
        actions[i] = best


@kernel
def temporal_difference(
    q: Matrix,
    next_q: Matrix,
    actions: Integers,
    rewards: Vector,
    dones: Vector,
    gamma: float,
    delta: Matrix,
) -> float:
    """Huber loss of Q(s, a) against r + γ (1 − d) max Q′(s′, ·), and its derivatives.

    Args:
        q: ``[row, action]``, Q(s, ·).
        next_q: ``[row, action]``, Q′(s′, ·) of the target network.
        actions: ``[row]``.
        rewards: ``[row]``.
        dones: ``[row]``, 1 where the episode ended, 0 where it was cut off.
        gamma: discount.
        delta: ``[row, action]``, gets the derivatives with respect to Q(s, ·).

    Returns:
        The mean loss.
    """
    rows, count = q.shape
    share = 1.0 / rows
    loss = 0.0
    for i in range(rows):
        best = next_q[i, 0]
        for j in range(1, count):
            best = next_q[i, j] if next_q[i, j] > best else best
        aim = rewards[i] + (np.float32(1.0) - dones[i]) * np.float32(gamma) * best
        error = q[i, actions[i]] - aim
        size = abs(error)
        loss += (0.5 * error * error if size < 1.0 else size - 0.5) * share
        slope = error if size < 1.0 else math.copysign(1.0, error)
        for j in range(count):
            delta[i, j] = np.float32(0.0)
        delta[i, actions[i]] = np.float32(slope * share)
    return loss


@kernel
def prepare(
    kept: Matrix,
    at: int,
    mean: Doubles,
    deviation: Doubles,
    clip: float,
    choices: int,
    row: Vector,
) -> None:
    """One stored observation as the network reads it.

    Args:
        kept: ``[transition, entry]``, as the environment gave it; of any number type.
        at: which.
        mean: ``[entry]``, of VecNormalize.
        deviation: ``[entry]``, √(variance + ε) likewise.
        clip: bound of normalised entries; negative: entries are used as they are.
        choices: of a Discrete observation, which becomes one-hot; 0 for vectors.
        row: ``[unit]``, overwritten.
    """
    if choices > 0:
        row[:] = np.float32(0.0)
        row[np.int64(kept[at, 0])] = np.float32(1.0)
    elif clip >= 0.0:
        for j in range(row.shape[0]):
            z = (kept[at, j] - mean[j]) / deviation[j]
            z = z if z < clip else clip
            row[j] = np.float32(z if z > -clip else -clip)
    else:
        for j in range(row.shape[0]):
            row[j] = np.float32(kept[at, j])


@kernel
def learn(
    layers: Integers,
    node: int,
    parameters: Vector,
    target: Vector,
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
    kept: Matrix,
    kept_next: Matrix,
    kept_actions: Integers,
    kept_rewards: Vector,
    kept_dones: Vector,
    kept_timeouts: Vector,
    mean: Doubles,
    deviation: Doubles,
    choices: int,
    upper: int,
    environments: int,
    settings: Doubles,
    gradient_steps: int,
    batch: int,
    places: Integers,
    drawn: bool,
    key: int,
    place: int,
    rewards: Vector,
    dones: Vector,
    actions: Integers,
    statistics: Doubles,
) -> None:
    """Gradient steps on uniformly drawn transitions of a replay buffer.

    Args:
        layers: ``[layer, column]``.
        node: of the action values.
        parameters: ``[number]``, changed in place.
        target: ``[number]``, parameters of the target network.
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
        kept: ``[place · environments + environment, entry]``, observations of the replay buffer.
        kept_next: likewise, those that followed.
        kept_actions: ``[transition]``.
        kept_rewards: ``[transition]``.
        kept_dones: ``[transition]``, 1 where an episode ended.
        kept_timeouts: ``[transition]``, 1 where it was cut off by its time limit.
        mean: ``[entry]``, of normalised observations.
        deviation: ``[entry]``, likewise.
        choices: of a Discrete observation; 0 for vectors.
        upper: places of the buffer that are filled.
        environments: transitions per place.
        settings: ``[entry]``.
        gradient_steps: how many.
        batch: transitions of each.
        places: ``[batch]``; the transitions, where they are not drawn.
        drawn: whether each step draws its transitions.
        key: of the generator.
        place: of the first step's draw in its stream.
        rewards: ``[batch]``, workspace.
        dones: ``[batch]``, workspace.
        actions: ``[batch]``, workspace.
        statistics: ``[entry]``, overwritten.
    """
    statistics[:] = 0.0
    for k in range(gradient_steps):
        inputs = output(layers, 0, values, batch)
        for i in range(batch):
            if drawn:
                a, b, _c, _d = philox(key, REPLAY, place + k, i)
                places[i] = below(a, upper) * environments + below(b, environments)
            at = places[i]
            prepare(kept_next, at, mean, deviation, settings[CLIP_OBSERVATION], choices, inputs[i])
            reward = np.float64(kept_rewards[at])
            if settings[CLIP_REWARD] >= 0.0:
                reward = reward / settings[REWARD_SCALE]
                reward = reward if reward < settings[CLIP_REWARD] else settings[CLIP_REWARD]
                reward = reward if reward > -settings[CLIP_REWARD] else -settings[CLIP_REWARD]
            rewards[i], actions[i] = np.float32(reward), kept_actions[at]
            dones[i] = kept_dones[at] * (np.float32(1.0) - kept_timeouts[at])
        forward(layers, target, values, before, batch, ALL)
        ahead = output(layers, node, values, batch).copy()
        for i in range(batch):
            prepare(kept, places[i], mean, deviation, settings[CLIP_OBSERVATION], choices, inputs[i])
        forward(layers, parameters, values, before, batch, ALL)
        loss = temporal_difference(
            output(layers, node, values, batch),
            ahead,
            actions,
            rewards,
            dones,
            settings[GAMMA],
            output(layers, node, deltas, batch),
        )
        backward(layers, parameters, values, before, deltas, spare, gradient, batch)
        statistics[NORM] = clip_gradient(gradient, spans, settings[LIMIT])
        pull(parameters, gradient, spans, anchor, stiffness)
        step(optimizer, constants, parameters, gradient, first, second, spans, rates, steps)
        statistics[LOSS] += loss
        statistics[GRADIENT_STEPS] += 1.0
