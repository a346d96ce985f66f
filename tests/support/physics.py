"""Shared by the tests of MuJoCo and Box2D physics."""

import warnings

import gymnasium as gym
import numpy as np

import rl_transfer_envs as envs
from rl_transfer_envs.check.play import first_divergence, quiet
from rl_transfer_envs.registry.parameters import own_parameters
from rl_transfer_envs.registry.probes import probes
from support.cases import drawn

with warnings.catch_warnings():
    # SWIG's types have no __module__; where warnings are errors, this import would crash Python
    warnings.simplefilter("ignore", DeprecationWarning)
    import Box2D  # noqa: F401

OWN = {env_id: own_parameters(env_id) for env_id in envs.environments()}


def make(env_id, *perturb, **kwargs):
    """The environment with these perturbations."""
    return envs.make({"id": env_id, "kwargs": kwargs, "perturb": list(perturb)})


def at_default(env_id, leave_out=()):
    """Every parameter of the environment, given at its default."""
    return [
        {name: "x1" if parameter.keyed else parameter.default}
        for name, parameter in OWN[env_id].items()
        if name not in leave_out
    ]


def both_ends(env_id):
    """Every parameter at each end of its range that is not its default."""
    for name, parameter in OWN[env_id].items():
        limits = parameter.factors or parameter.bounds
        assert limits is not None, name
        default = 1.0 if parameter.factors else parameter.default
        for side, limit in zip(("low", "high"), limits, strict=True):
            if limit != default:
                yield {name: {"severity": 1.0, "towards": side}}


def some_ends(env_id):
    """Two of :func:`both_ends`, the same every time; all of them in ``make effects``."""
    return drawn([*both_ends(env_id)], 2, env_id)


def moves(env_id, entry, steps):
    """Whether some probe policy, in one play of so many steps, shows a difference to the base."""
    ((name, _),) = entry.items()
    base, other = base_of(env_id), make(env_id, entry)
    with quiet():
        return any(
            first_divergence(base, other, probe, seed=0, steps=steps)
            for probe in probes(env_id, other.action_space, OWN[env_id][name].probes)
        )


def assert_bit_equal(base, other, env_id, steps):
    """Not one bit differs over ``steps[i]`` steps of the i-th probe policy."""
    for probe, count in zip(probes(env_id, base.action_space), steps, strict=False):
        found = first_divergence(base, other, probe, seed=3, steps=count)
        assert found is None, f"{probe.name}: {found}"


def play(env, actions, seed=0):
    """Observations and rewards of one episode under these actions."""
    rows = [np.append(env.reset(seed=seed)[0], 0.0)]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        rows.append(np.append(observation, reward))
        if terminated or truncated:
            break
    return np.array(rows)


def random_actions(env, count, seed=0):
    """Actions of the environment's own action space."""
    space = env.action_space
    space.seed(seed)
    return [space.sample() for _ in range(count)]


def base_of(env_id):
    """Gymnasium's own environment."""
    return gym.make(env_id)
