"""Compare batched environments with single ones, number by number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

import rl_transfer_envs
from rl_transfer_envs import vector
from rl_transfer_envs.registry.parameters import own_parameters
from rl_transfer_envs.registry.probes import registered_probes
from rl_transfer_envs.values.quantity import Quantity

CLASSIC = ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")

Array = np.ndarray[Any, Any]
Spec = dict[str, Any]
Act = Callable[[int, Array], Array]


def both_ways(env_id: str, severity: float = 0.6) -> list[Spec]:
    """The environment itself, and one specification per physics parameter and direction."""
    found: list[Spec] = [dict(rl_transfer_envs.canonical(env_id))]
    for name, parameter in own_parameters(env_id).items():
        for towards in directions(parameter):
            entry = {name: {"severity": severity, "towards": towards}}
            found.append({"id": env_id, "perturb": [entry]})
    return found


def directions(quantity: Quantity) -> list[str]:
    """Where a quantity with two bounds can go from its default."""
    assert quantity.bounds is not None
    sides = zip(("low", "high"), quantity.bounds, strict=True)
    return [side for side, bound in sides if bound != quantity.default]


def mixed_play(env_id: str, env: VectorEnv[Any, Any, Any], seed: int, share: float = 0.7) -> Act:
    """Random actions, some beyond the bounds, mixed with the probe policies that reach far states."""
    rng = np.random.default_rng(seed)
    space = env.single_action_space
    probes = [probe.start(space, 0) for probe in registered_probes(env_id).values()]

    def act(step: int, observations: Array) -> Array:
        if isinstance(space, spaces.Discrete):
            actions = rng.integers(space.n, size=env.num_envs)
        else:
            assert isinstance(space, spaces.Box)
            reach = 1.2 * space.high
            actions = rng.uniform(-reach, reach, (env.num_envs, *space.shape)).astype(np.float32)
        policy = probes[step // 200 % len(probes)]
        for row in np.flatnonzero(rng.random(env.num_envs) < share):
            actions[row] = policy(observations[row], step)
        return actions

    return act


@dataclass(frozen=True)
class Recording:
    """What a batch did: actions taken, and results by step, in same-step autoreset mode."""

    first: Array
    actions: list[Array]
    observations: list[Array]
    rewards: list[Array]
    ends: list[Array]


def record(
    specs: Sequence[Spec | str], act: Callable[[VectorEnv[Any, Any, Any]], Act], steps: int, seed: int
) -> Recording:
    """Play a batch; an episode's last observation stands in place of the next one's first."""
    env = vector.make(list(specs), autoreset_mode="SameStep")
    policy = act(env)
    first, _ = env.reset(seed=seed)
    recording = Recording(first, [], [], [], [])
    seen = first
    for step in range(steps):
        actions = policy(step, seen)
        seen, rewards, terminated, truncated, info = env.step(actions)
        shown = seen.copy()
        for row in np.flatnonzero(terminated | truncated):
            shown[row] = info["final_obs"][row]
        recording.actions.append(actions)
        recording.observations.append(shown)
        recording.rewards.append(rewards)
        recording.ends.append(np.stack((terminated, truncated)))
    return recording


def assert_equal_alone(specs: Sequence[Spec | str], recording: Recording, seed: int) -> int:
    """Replay every instance on a single environment; the number of episodes that ended."""
    episodes = 0
    for row, spec in enumerate(specs):
        env = rl_transfer_envs.make(spec)
        first, _ = env.reset(seed=seed + row)
        assert np.array_equal(first, recording.first[row]), spec
        for step, actions in enumerate(recording.actions):
            seen, reward, *ends, _ = env.step(actions[row])
            shown, paid = recording.observations[step][row], recording.rewards[step][row]
            ended = recording.ends[step][:, row].tolist()
            same = np.array_equal(seen, shown) and reward == paid and ends == ended
            assert same, (spec, step, seen, shown, reward, paid)
            if any(ends):
                episodes += 1
                env.reset()
        env.close()
    return episodes


def assert_equal_to_sync(specs: Sequence[Spec | str], mode: str, steps: int, seed: int = 3) -> int:
    """Step a batch beside Gymnasium's SyncVectorEnv; everything, infos included, must be equal."""
    batched = vector.make(list(specs), autoreset_mode=mode)
    spaces_differ = any(
        instance.env.observation_space != batched.single_observation_space
        for instance in batched.batch.instances
    )
    sync = gym.vector.SyncVectorEnv(
        [partial(rl_transfer_envs.make, spec) for spec in specs],
        observation_mode="different" if spaces_differ else "same",
        autoreset_mode=mode,
    )
    assert batched.observation_space == sync.observation_space
    assert batched.action_space == sync.action_space
    assert_same(batched.reset(seed=seed), sync.reset(seed=seed))
    batched.action_space.seed(seed)
    ended = 0
    for step in range(steps):
        actions = batched.action_space.sample()
        ours, theirs = batched.step(actions), sync.step(actions)
        assert_same(ours, theirs, f"step {step}")
        ended += int((ours[2] | ours[3]).sum())
    sync.close()
    batched.close()
    return ended


def assert_same(ours: Any, theirs: Any, where: str = "") -> None:
    """Equal structure, types and bits."""
    if isinstance(ours, tuple):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{where}[{i}]")
    elif isinstance(ours, dict):
        assert set(ours) == set(theirs), where
        for key in ours:
            assert_same(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, np.ndarray) and ours.dtype == object:
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert (one is None) == (other is None), where
            if one is not None:
                assert_same(one, other, f"{where}[{i}]")
    else:
        one, other = np.asarray(ours), np.asarray(theirs)
        assert one.dtype == other.dtype, (where, one.dtype, other.dtype)
        assert one.tobytes() == other.tobytes(), (where, one, other)
