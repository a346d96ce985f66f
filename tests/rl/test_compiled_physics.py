"""The compiled physics: step by step beside Gymnasium's own environments and beside the batch over arrays."""

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the compiled engine needs the extra fast")

import rl_transfer_envs
from rl_transfer.rl.compiled.physics import CompiledPhysics
from rl_transfer.rl.sb3_seams import StandIn
from rl_transfer_envs.vector.batch import Batch
from support.untyped import untyped
from support.vector import CLASSIC, Spec, both_ways

ANGLES = np.random.default_rng(0).uniform(-7, 7, 20_000)
SAME_COSINE = bool(
    (np.cos(ANGLES) == [math.cos(x) for x in ANGLES]).all()
    and (np.sin(ANGLES) == [math.sin(x) for x in ANGLES]).all()
)
"""Whether NumPy's sine and cosine are those of the C library here; on some processors they are its own."""


def assert_near(ours: Any, theirs: Any, label: object) -> None:
    """Bit-equal where NumPy has the C library's cosine, else to a few units of the last place of float32."""
    if SAME_COSINE:
        assert np.array_equal(ours, theirs), (label, ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9, err_msg=str(label))


def random_actions(batch: Batch, rng: np.random.Generator) -> Any:
    space: Any = batch.action_space
    if hasattr(space, "n"):
        return rng.integers(space.n, size=batch.num_envs)
    return rng.uniform(1.3 * space.low, 1.3 * space.high, (batch.num_envs, 1)).astype(np.float32)


@pytest.mark.parametrize("env_id", CLASSIC)
def test_every_step_is_gymnasiums_own(env_id: str) -> None:
    """2,000 steps of every parameter in both directions; after each, both go on from Gymnasium's state."""
    specs: list[Spec] = both_ways(env_id)
    batch = Batch(specs)
    batch.reset(range(len(specs)), list(range(len(specs))))
    physics, kernel = CompiledPhysics(batch.kernel), batch.kernel
    singles = [rl_transfer_envs.make(spec) for spec in specs]
    for row, env in enumerate(singles):
        env.reset(seed=row)
    rng = np.random.default_rng(1)
    for _ in range(2_000):
        actions = random_actions(batch, rng)
        physics.step(actions)
        for row, env in enumerate(singles):
            seen, reward, terminated, truncated, _ = env.step(actions[row])
            assert_near(physics.observations[row], seen, specs[row])
            assert_near(physics.rewards[row], reward, specs[row])
            assert_near(kernel.state[:, row], untyped(env.unwrapped).state, specs[row])
            if SAME_COSINE:
                assert physics.terminated[row] == terminated
            if terminated or truncated:
                assert np.array_equal(env.reset()[0], batch.reset([row])[0])
            kernel.start(row, env.unwrapped)
    batch.close()


@pytest.mark.parametrize("env_id", CLASSIC)
def test_a_batch_with_compiled_physics_is_the_batch(env_id: str) -> None:
    """Perturbed on top, parameters and limits drawn per episode; both from the same states at every step."""
    perturb = [{"observation_noise": 0.1}, {"reward_scale": 0.5}, {"time_limit": {"choice": [20, 30]}}]
    if env_id == "Acrobot-v1":
        perturb.append({"torque_noise": 0.3})
    specs = [{"id": env_id, "perturb": perturb}] * 3
    ours, theirs = Batch(specs), Batch(specs)
    StandIn(ours, "advance", CompiledPhysics(ours.kernel).step_anew).attach()
    rows = np.arange(3)
    for batch in (ours, theirs):
        batch.reset(range(3), [5, 6, 7])
    rng = np.random.default_rng(2)
    for _ in range(300):
        actions = random_actions(ours, rng)
        mine, other = ours.step(actions), theirs.step(actions)
        assert_near(mine.observations, other.observations, env_id)
        assert_near(mine.rewards, other.rewards, env_id)
        if not SAME_COSINE:
            ours.kernel.state[:] = theirs.kernel.state
        assert np.array_equal(mine.truncated, other.truncated)
        done = rows[other.truncated | other.terminated].tolist()
        if done:
            assert np.array_equal(ours.reset(done), theirs.reset(done))


def test_parameters_that_are_drawn_anew_are_used() -> None:
    spec = {
        "id": "CartPole-v1",
        "perturb": [{"initial_spread": 0.0}, {"force_mag": {"choice": [10.0, 20.0]}}],
    }
    batch = Batch([spec])
    physics = CompiledPhysics(batch.kernel)
    speeds = set()
    for episode in range(20):
        batch.reset([0], [0] if episode == 0 else None)
        physics.step(np.array([1]))
        speeds.add(round(float(physics.observations[0, 1]), 6))
    assert speeds == {0.195122, 0.390244}
