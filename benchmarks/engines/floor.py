"""The floor: the matrix products of a training alone, at the rate of this core's BLAS.

No algorithm that passes the same minibatches through the same network can be faster without fewer or larger
products. A linear layer of ``i`` inputs and ``o`` outputs costs, for B rows: forward ``[B, i] × [i, o]``; the
gradient of its weights ``[o, B] × [B, i]``; and, behind the first trained layer, that of its input
``[B, o] × [o, i]``; each 2·B·i·o floating-point operations.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from gymnasium import spaces

from benchmarks.engines.cases import Case
from benchmarks.engines.serving import Result, timed
from rl_transfer.rl.environments.build import make_env
from rl_transfer.spec.algorithms import DQNConfig, PPOConfig

HIDDEN = (64, 64)


@dataclass(frozen=True)
class Product:
    """``[rows, inner] × [inner, columns]``, its operands as a linear layer has them in memory."""

    rows: int
    inner: int
    columns: int
    kind: str
    """``forward``, ``weights`` or ``input``."""

    @property
    def operations(self) -> int:
        """Floating-point operations."""
        return 2 * self.rows * self.inner * self.columns


def trained(inputs: int, outputs: int, batch: int, first: bool) -> Iterator[Product]:
    """Products of one linear layer for one minibatch, forward and backward."""
    yield Product(batch, inputs, outputs, "forward")
    yield Product(outputs, batch, inputs, "weights")
    if not first:
        yield Product(batch, outputs, inputs, "input")


def sizes(case: Case) -> tuple[int, tuple[int, ...], int]:
    """Inputs, hidden layers and outputs of the network that acts."""
    env = make_env(case.run(0).env)
    inputs = int(spaces.flatdim(env.observation_space))
    outputs = int(spaces.flatdim(env.action_space))
    env.close()
    return inputs, tuple(case.algorithm.get("policy_kwargs", {}).get("net_arch", HIDDEN)), outputs


def on_policy(case: Case, config: PPOConfig) -> Counter[Product]:
    """Of one rollout of PPO and its update."""
    frozen = bool(case.strategy.get("freeze"))
    passes = config.n_epochs * (config.step_multiple // config.batch_size)
    inputs, hidden, actions = sizes(case)
    found: Counter[Product] = Counter()
    for outputs in (actions, 1):
        layers = [*itertools.pairwise((inputs, *hidden, outputs))]
        first_trained = len(layers) - 1 if frozen else 0
        for index, (before, after) in enumerate(layers):
            found[Product(config.n_envs, before, after, "forward")] += config.n_steps
            if index >= first_trained:  # the features of a frozen trunk are those of acting
                for product in trained(before, after, config.batch_size, index == first_trained):
                    found[product] += passes
    return found


def of_q_learning(case: Case, config: DQNConfig) -> Counter[Product]:
    """Of the steps between two updates of DQN and the updates; the target network only looks ahead."""
    inputs, hidden, actions = sizes(case)
    found: Counter[Product] = Counter()
    for index, (before, after) in enumerate(itertools.pairwise((inputs, *hidden, actions))):
        found[Product(1, before, after, "forward")] += config.step_multiple
        found[Product(config.batch_size, before, after, "forward")] += config.gradient_steps
        for product in trained(before, after, config.batch_size, index == 0):
            found[product] += config.gradient_steps
    return found


@numba.njit
def multiply(left: Any, right: Any, out: Any, times: int) -> None:
    """The same product again and again."""
    for _ in range(times):
        np.dot(left, right, out)


def operands(product: Product, generator: np.random.Generator) -> Sequence[np.ndarray[Any, Any]]:
    """Left, right and result; weights lie as torch has them, ``[outputs, inputs]``."""
    left = generator.random((product.rows, product.inner), dtype=np.float32)
    right = generator.random((product.inner, product.columns), dtype=np.float32)
    if product.kind == "weights":
        left = np.asfortranarray(left)
    if product.kind == "forward":
        right = np.asfortranarray(right)
    return left, right, np.empty((product.rows, product.columns), np.float32)


class Floor:
    """The products of one training, done over and over in the order of their sizes."""

    def __init__(self, case: Case) -> None:
        config = case.run(0).algorithm
        if isinstance(config, PPOConfig):
            found = on_policy(case, config)
        elif isinstance(config, DQNConfig):
            found = of_q_learning(case, config)
        else:
            raise SystemExit(f"the products of {case.name} are not counted here")
        self._steps, generator = config.step_multiple, np.random.default_rng(0)
        self._periods = case.steps // self._steps
        self._work = [(count, operands(each, generator)) for each, count in found.items()]
        self.operations = sum(each.operations * count for each, count in found.items()) / self._steps
        """Floating-point operations per environment step."""
        for _, arrays in self._work:
            multiply(*arrays, 1)

    def turn(self, seed: int) -> Result:
        """All products of one training; ``seed`` changes nothing."""
        del seed

        def work() -> None:
            for count, arrays in self._work:
                multiply(*arrays, count * self._periods)

        _, cpu, wall = timed(work)
        steps = self._steps * self._periods
        return {"cpu": cpu, "wall": wall, "steps": steps, "rate": self.operations * steps / cpu}
