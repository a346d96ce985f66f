"""A policy as an ONNX graph: raw observation in, the action that it takes out, nothing of Python between."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn
from torch.distributions import Distribution

from rl_transfer.core import isolated
from rl_transfer.errors import BundleError
from rl_transfer.frame import write_finished
from rl_transfer.frame.onnx_files import check_destination, graph_of, run_graph
from rl_transfer.rl.environments.evaluate import SinglePlayers, random_act
from rl_transfer.rl.environments.spaces import Array, Observation, Space
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.policies.normalization import EPSILON
from rl_transfer.seeding import integer_seeds

BEYOND = 64
"""The most observations that are moved beyond the clipping of a normaliser."""
EPISODES, STEPS = 8, 256
"""Episodes, half of them by random actions, and the most steps of each, in which both are compared."""
TOLERANCE = 1e-5
"""Of a continuous action, as a share of its range; float32 rounds to 10⁻⁷, a convolution's sums to 10⁻⁶."""
INPUT, OUTPUT = "observation", "action"


@dataclass(frozen=True)
class OnnxAgreement:
    """How a written graph compares with its policy.

    Attributes:
        observations: how many both acted on.
        largest: the largest difference of an action's numbers; 0 where actions are discrete.
    """

    observations: int
    largest: float

    def __str__(self) -> str:
        closely = f"to {self.largest:.1e}" if self.largest else "exactly"
        return f"it acts like the policy on {self.observations:,} observations, {closely}"


def export_onnx(bundle: Path, destination: Path) -> OnnxAgreement:
    """Write a policy as an ONNX graph that takes a batch of raw observations to the actions it would take.

    Normalisation with its clipping, the order of an image's channels, the likeliest action and the bounds of
    continuous actions are in the graph. It is written only if it acts like the policy on every
    observation of seeded episodes in the policy's environment.

    Args:
        bundle: a bundle folder, a run folder, or an output folder with one run.
        destination: the file to write, ending in ``.onnx``; it must not exist.

    Returns:
        On how many observations both agree, and how closely.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        BundleError: the policy cannot be read, torch has no graph of it, or the graph acts otherwise.
        EnvironmentSpecError: its environment cannot be built.
    """
    check_destination(destination)
    with isolated(seed=0):
        policy = load_policy(bundle)
        space, batch = _met(policy)
        content = _graph_bytes(policy, space, batch)
        found = _compared(policy, content, batch)
    write_finished(io.BytesIO(content), destination)
    return found


def _met(policy: Policy) -> tuple[Space, dict[str, Array]]:
    """What the policy and random actions come to observe, by key; by ``""`` where it is no dict.

    Where observations are normalised, some that lie on both sides of the clipping stand at the end.
    """
    players = SinglePlayers(policy.env, EPISODES)
    try:
        act, any_act = policy.act(), random_act(players.action_space, seed=0)
        current = players.reset(integer_seeds(EPISODES, 0, "onnx"))
        active, met = [*range(EPISODES)], [_members(current)]
        for _ in range(STEPS):
            chosen, drawn = act(current), any_act(current)
            chosen[EPISODES // 2 :] = drawn[EPISODES // 2 :]
            current, _, over = players.step(chosen, active)
            active = [each for each in active if each not in over]
            if not active:
                break
            met.append({key: value[active] for key, value in _members(current).items()})
    finally:
        players.close()
    batch = {key: np.concatenate([each[key] for each in met]) for key in met[0]}
    return players.observation_space, _beyond_clipping(policy, batch)


def _beyond_clipping(policy: Policy, batch: dict[str, Array]) -> dict[str, Array]:
    normal = policy.normalizer
    if normal is None or not np.isfinite(normal.clip):
        return batch
    rows, drawn = {key: value[:BEYOND].copy() for key, value in batch.items()}, np.random.default_rng(0)
    for key in normal.mean.keys() & batch.keys():
        moved = drawn.uniform(-3, 3, rows[key].shape) * normal.clip * np.sqrt(normal.var[key] + EPSILON)
        kind = rows[key].dtype
        ends = np.finfo(kind.name) if kind.kind == "f" else np.iinfo(kind.name)
        rows[key] = np.clip(normal.mean[key] + moved, float(ends.min), float(ends.max)).astype(kind)
    return {key: np.concatenate([value, rows[key]]) for key, value in batch.items()}


def _members(observations: Observation) -> dict[str, Array]:
    return observations if isinstance(observations, dict) else {"": observations}


class _Deployed(nn.Module):
    """What stands between an environment's observations and its actions, all in tensors."""

    def __init__(self, policy: Policy, keys: Sequence[str], raw: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.policy, self.keys = policy.module, keys
        self.clip = policy.normalizer.clip if policy.normalizer else 0.0
        known = policy.module.observation_space
        self.turned = [_member(known, key).shape != raw[key] for key in keys]
        self.normalized = [policy.normalizer is not None and key in policy.normalizer.mean for key in keys]
        for index, key in enumerate(keys):
            if policy.normalizer is not None and self.normalized[index]:
                scale = np.sqrt(policy.normalizer.var[key] + EPSILON)
                self.register_buffer(f"mean{index}", torch.from_numpy(np.array(policy.normalizer.mean[key])))
                self.register_buffer(f"scale{index}", torch.from_numpy(np.array(scale)))
        space = policy.module.action_space
        if isinstance(space, spaces.Box):
            self.register_buffer("low", torch.from_numpy(space.low))
            self.register_buffer("high", torch.from_numpy(space.high))

    def forward(self, *inputs: Tensor) -> Tensor:
        seen = {key: self._seen(index, inputs[index]) for index, key in enumerate(self.keys)}
        given = seen.get("", seen)
        space = self.policy.action_space
        action = self._act(given).reshape((-1, *(space.shape or ())))
        if not isinstance(space, spaces.Box):
            return action
        low, high = self.get_buffer("low"), self.get_buffer("high")
        if self.policy.squash_output:
            return low + 0.5 * (action + 1.0) * (high - low)
        return torch.minimum(torch.maximum(action, low), high)

    def _seen(self, index: int, value: Tensor) -> Tensor:
        if self.normalized[index]:
            mean, scale = self.get_buffer(f"mean{index}"), self.get_buffer(f"scale{index}")
            value = ((value.double() - mean) / scale).clamp(-self.clip, self.clip).float()
        return value.permute(0, 3, 1, 2) if self.turned[index] else value

    def _act(self, given: Tensor | dict[str, Tensor]) -> Tensor:
        """SB3's prediction without what it does in NumPy before and after."""
        if isinstance(self.policy, ActorCriticPolicy):
            return self.policy.get_distribution(given).get_actions(deterministic=True)
        action: Tensor = self.policy(given, deterministic=True)
        return action


def _member(space: Space, key: str) -> Space:
    return space.spaces[key] if isinstance(space, spaces.Dict) else space


def _graph_bytes(policy: Policy, space: Space, batch: Mapping[str, Array]) -> bytes:
    keys = [*batch]
    raw = {key: tuple(_member(space, key).shape or ()) for key in keys}
    example = {key or INPUT: torch.from_numpy(np.ascontiguousarray(batch[key][:3])) for key in keys}
    told = {"rl_transfer.digest": policy.digest, "rl_transfer.environment": policy.described_env.id}
    what = f"this policy ({policy.algorithm.name}, {policy.algorithm.policy})"
    with _unchecked_distributions():
        return graph_of(_Deployed(policy, keys, raw), example, OUTPUT, told, what)


@contextmanager
def _unchecked_distributions() -> Iterator[None]:
    """Let a graph be traced through torch's distributions, whose checks of values branch on them."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def _compared(policy: Policy, content: bytes, batch: Mapping[str, Array]) -> OnnxAgreement:
    wanted = policy.act()(batch[""] if "" in batch else dict(batch))
    found = run_graph(content, {key or INPUT: value for key, value in batch.items()}, OUTPUT)
    space = policy.module.action_space
    if not isinstance(space, spaces.Box):
        other = int((found != wanted).reshape(len(wanted), -1).any(axis=1).sum())
        if other:
            raise BundleError(
                f"the graph takes another action than the policy on {other:,} of {len(wanted):,} "
                "observations, so it was not written"
            )
        return OnnxAgreement(len(wanted), 0.0)
    apart = np.abs(np.asarray(found, dtype=np.float64) - np.asarray(wanted, dtype=np.float64))
    width = np.subtract(space.high, space.low, dtype=np.float64)
    allowed = TOLERANCE * np.where(np.isfinite(width), width, np.maximum(1.0, np.abs(wanted)))
    if not (apart <= allowed).all():
        bad = int((~(apart <= allowed)).reshape(len(wanted), -1).any(axis=1).sum())
        raise BundleError(
            f"the graph's actions differ from the policy's by up to {apart.max():.3g}, on {bad:,} of "
            f"{len(wanted):,} observations by more than {TOLERANCE:g} of their range, so it was not written"
        )
    return OnnxAgreement(len(wanted), float(apart.max(initial=0.0)))
