"""Do observations stay inside the space that is declared for them?"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from rl_transfer_envs.aliases import Space, Spec
from rl_transfer_envs.build.make import make
from rl_transfer_envs.registry.probes import probes

SHORT_STEPS = 150
FAR_STEPS = 400


def spaces_hold(spec: Spec) -> str:
    """Gymnasium's ``check_env``, random play, and every policy of the probe, which drive to the bounds.

    A perturbation is not to blame for an environment that leaves its own space, nor a user for one of
    Gymnasium's that does (LunarLander and BipedalWalker spin beyond their bounds).

    Args:
        spec: canonical.

    Returns:
        What was found.

    Raises:
        AssertionError: an observation lies outside, a reward is not finite, or ``check_env`` complains.
    """
    env = make(spec)
    try:
        check_env(env, skip_render_check=True, skip_close_check=True)
        names = ", ".join(probe.name for probe in probes(spec["id"], env.action_space))
    finally:
        env.close()
    outside = _outside(spec, SHORT_STEPS)
    if not outside:
        return f"check_env passes; observations stay inside under {names}"
    if spec["perturb"]:
        outside_itself = _outside({**spec, "perturb": []}, FAR_STEPS)
        assert outside_itself, outside
        return f"check_env passes; it leaves its space without perturbation too: {outside_itself}"
    assert "gymnasium.envs." in str(gym.registry[spec["id"]].entry_point), outside
    return f"check_env passes; the bounds that Gymnasium declares do not hold: {outside}"


def fits(observation: object, space: Space) -> bool:
    """Whether an observation lies in its space, or is not finite, which is another fault.

    Args:
        observation: of a reset or a step.
        space: that the environment declares.

    Returns:
        Whether it does.
    """
    if isinstance(observation, np.ndarray) and np.issubdtype(observation.dtype, np.inexact):
        return observation in space or not np.isfinite(observation).all()
    return observation in space


def _outside(spec: Spec, steps: int) -> str:
    """Where an observation leaves its space; empty if none does."""
    env = make(spec)
    try:
        for probe in probes(spec["id"], env.action_space):
            act = probe.start(env.action_space, 0)
            observation, info = env.reset(seed=0)
            for step in range(steps):
                if observation not in env.observation_space:
                    return f"observation {observation} at step {step} of {probe.name} is outside"
                action = act(info.get("base_observation", observation), step)
                observation, reward, terminated, truncated, info = env.step(action)
                assert np.isfinite(float(reward)), f"reward {reward} at step {step} of {probe.name}"
                if terminated or truncated:
                    observation, info = env.reset()
    finally:
        env.close()
    return ""
