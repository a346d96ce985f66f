"""Benchmarks that need scikit-learn or JAX, which is in an environment of its own."""

import runpy
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from support.untyped import untyped

ROOT = Path(__file__).resolve().parent.parent


def test_the_domains_of_digits_are_two_halves(tmp_path: Path) -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "domain_gap.py"))
    found = {name: np.load(path) for name, path in names["domains"](tmp_path).items()}
    assert found.keys() == {"home", "shuffled", "inverted", "noisy", "turned"}
    home, away = found["home"]["images"], 255 - found["inverted"]["images"]
    assert len(home) + len(away) == 1797
    assert not {each.tobytes() for each in home} & {each.tobytes() for each in away}
    assert np.array_equal(np.sort(found["shuffled"]["images"].reshape(-1, 64)), np.sort(home.reshape(-1, 64)))
    assert np.array_equal(np.rot90(found["turned"]["images"], -1, axes=(1, 2)), away)


def test_cartpole_in_jax_is_gymnasiums() -> None:
    jax = pytest.importorskip("jax")
    from benchmarks.purejaxrl import cartpole

    env = gym.make("CartPole-v1")
    bare = untyped(env.unwrapped)
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(200):
        physics = generator.uniform(-1, 1, 4) * [2.4, 2.0, 0.21, 2.0]
        action = int(generator.integers(2))
        bare.state, bare.steps_beyond_terminated = physics.copy(), None
        observation, _, terminated, _, _ = bare.step(action)
        state = cartpole.reset(jax.numpy.zeros((4, 1)))._replace(physics=physics.astype(np.float32)[:, None])
        _, stepped = cartpole.step(state, jax.numpy.array([action]), jax.numpy.zeros((4, 1)))
        assert np.asarray(stepped.last)[:, 0] == pytest.approx(observation, abs=1e-5)
        assert bool(stepped.done[0]) == terminated


def test_ppo_in_jax_learns_cartpole() -> None:
    jax = pytest.importorskip("jax")
    from benchmarks.purejaxrl import ppo

    parameters, _ = jax.jit(ppo.training(ppo.Settings()))(jax.random.key(0))
    assert np.asarray(ppo.play(parameters, jax.random.key(1), 10)).tolist() == [500] * 10
