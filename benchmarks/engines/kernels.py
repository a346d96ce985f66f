"""One minibatch of the compiled engine, kernel by kernel: what there is beside the matrix products."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.engines.cases import Case
from benchmarks.engines.floor import multiply, on_policy, operands, sizes
from benchmarks.engines.serving import timed
from rl_transfer.engine import activations, network, optimizers
from rl_transfer.spec.algorithms import PPOConfig

ROUNDS, CALLS = 7, 200


def microseconds(work: Callable[[], Any]) -> float:
    """Median CPU time of a call; the call itself, from Python, is about one microsecond of it."""
    work()

    def many() -> None:
        for _ in range(CALLS):
            work()

    return statistics.median(1e6 * timed(many)[1] / CALLS for _ in range(ROUNDS))


def layers_of(case: Case) -> tuple[list[network.DenseLayer], int]:
    """Actor and critic as the engine has them, and the number of their parameters."""
    inputs, hidden, actions = sizes(case)
    layers: list[network.DenseLayer] = []
    offset = 0
    for outputs in (actions, 1):
        source = 0
        widths = (inputs, *hidden, outputs)
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            kind = activations.TANH if index < len(hidden) else activations.IDENTITY
            weight, bias = offset, offset + before * after
            layers.append(network.DenseLayer(source, before, after, weight, bias, kind, trained=True))
            source, offset = len(layers), bias + after
    return layers, offset


def products(case: Case, config: PPOConfig) -> float:
    """Microseconds of all matrix products of one minibatch."""
    generator = np.random.default_rng(0)
    passes = config.n_epochs * (config.step_multiple // config.batch_size)
    found = 0.0
    for product, count in on_policy(case, config).items():
        if product.rows != config.n_envs:  # those of acting
            arrays = operands(product, generator)
            found += count / passes * microseconds(partial(multiply, *arrays, CALLS)) / CALLS
    return found


def kernels(case: Case) -> Iterator[tuple[str, float]]:
    """What is done, and its microseconds for one minibatch of PPO; … marks parts of the two passes."""
    config = case.run(0).algorithm
    assert isinstance(config, PPOConfig)
    rows, generator = config.batch_size, np.random.default_rng(0)
    layers, count = layers_of(case)
    table = network.table(layers)
    room = network.Workspace(rows, network.row_size(table))
    room.deltas[:] = 0.01
    parameters = (0.1 * generator.standard_normal(count)).astype(np.float32)
    gradient, first, second = (np.zeros_like(parameters) for _ in range(3))
    passed = (table, parameters, room.values, room.before)
    yield "forward pass", microseconds(partial(network.forward, *passed, rows, network.ALL))
    back = (*passed, room.deltas, room.spare, gradient, rows)
    yield "backward pass", microseconds(partial(network.backward, *back))
    yield "… matrix products", products(case, config)
    tanh = through = 0.0
    for layer in layers:
        if layer.kind == activations.TANH:
            values = generator.standard_normal((rows, layer.outputs)).astype(np.float32)
            bias, before, deltas = np.zeros(layer.outputs, np.float32), values.copy(), np.ones_like(values)
            forward = partial(activations.activate, layer.kind, values, bias, before)
            tanh += microseconds(forward)
            through += microseconds(partial(activations.differentiate, layer.kind, deltas, values, before))
    yield "… bias and tanh", tanh
    yield "… derivative of tanh", through
    spans = np.array([[0, count, 1]], dtype=np.int64)
    yield "clipping the norm", microseconds(partial(optimizers.clip_gradient, gradient, spans, 0.5))
    adam = (np.array([0.9, 0.999, 1e-5]), parameters, gradient, first, second, spans, np.array([1e-3]))
    steps = np.zeros(1, np.float32)
    yield "Adam", microseconds(partial(optimizers.step, optimizers.ADAM, *adam, steps))
