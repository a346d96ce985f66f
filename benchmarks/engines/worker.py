"""Trains a run's model when it is told to: a contender of benchmarks/engine.py, and what its time went to.

    python -m benchmarks.engines.worker '{"case": "cartpole", "engine": "sb3"}'

The model is built and prepared as the product does it, then trained without evaluations. ``"run": true``
executes the whole run of the product instead, evaluations, record and files included.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from benchmarks.engines.cases import Case, every_case
from benchmarks.engines.floor import Floor
from benchmarks.engines.kernels import kernels
from benchmarks.engines.serving import Result, Turn, serve, timed
from benchmarks.run_cost import Clock
from rl_transfer.results import RunStore, run_id
from rl_transfer.rl.environments import seeds
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import RLRun
from rl_transfer.spec.algorithms import PPOConfig

ENGINES = ("sb3", "compiled", "floor")


class Opaque(gym.Wrapper[Any, Any, Any, Any]):
    """Hides what is inside: an environment of somebody else's, as far as anybody can see."""

    def step(self, action: Any) -> Any:
        """Gymnasium's own step."""
        return self.env.step(action)


def model_of(run: RLRun, opaque: bool) -> tuple[BaseAlgorithm, VecEnv]:
    """A model as the product has it when training begins."""
    assert run.algorithm is not None
    wrappers = [Opaque] if opaque else []
    env = normalization.wrap(make_vec_env(run.env, run.algorithm.n_envs, wrappers), run.algorithm)
    model = build_model(run.algorithm, env, seeds.network_seed(run))
    PolicyTransfer(run, model, env, None, seeds.transfer_seed(run))
    seeds.seed_model(model, seeds.training_seed(run))
    return model, env


def install(model: BaseAlgorithm, run: RLRun) -> None:
    """Put the compiled engine into the model."""
    importlib.import_module("rl_transfer.rl.compiled").install(model, seeds.training_seed(run))


class Trainings:
    """Trainings of one case by one engine.

    Args:
        case: the row.
        engine: ``sb3`` or ``compiled``.
        profiled: whether every training says how its CPU time was spent; the clocks cost a little themselves.
    """

    def __init__(self, case: Case, engine: str, profiled: bool) -> None:
        self._case, self._engine, self._profiled = case, engine, profiled

    def turn(self, seed: int) -> Result:
        """Train once; ``score`` is the mean return of the last hundred training episodes."""
        run = self._case.run(seed)
        model, env = model_of(run, self._case.opaque)
        _, preparing, _ = timed(lambda: install(model, run) if self._engine == "compiled" else None)
        with self._clock(model) as parts:
            _, cpu, wall = timed(lambda: model.learn(self._case.steps))
        returns = [episode["r"] for episode in model.ep_info_buffer or ()]
        env.close()
        score = float(np.mean(returns)) if returns else None
        return {
            "cpu": cpu, "wall": wall, "steps": model.num_timesteps, "score": score, "preparing": preparing,
            "parts": dict(parts),
        }  # fmt: skip

    @contextlib.contextmanager
    def _clock(self, model: BaseAlgorithm) -> Iterator[dict[str, float]]:
        """Seconds of CPU by part, complete when the block has ended."""
        if not self._profiled:
            yield {}
            return
        clock = Clock()
        watch = watch_compiled if self._engine == "compiled" else watch_sb3
        with contextlib.ExitStack() as stack:
            for owner, name, watched in watch(model, clock):
                stack.enter_context(patch.object(owner, name, watched))
            clock.reset()
            yield clock.seconds
            clock.stop()


Watched = tuple[Any, str, Any]
"""Whose attribute, its name, and what clocks it."""


def watch_sb3(model: Any, clock: Clock) -> Iterator[Watched]:
    """SB3's own loops."""
    yield model, "train", clock.timed("update", model.train)
    owner, name = (model.policy, "forward") if hasattr(model, "rollout_buffer") else (model, "predict")
    yield owner, name, clock.timed("acting", getattr(owner, name))
    yield model.env, "step_wait", clock.timed("environment", model.env.step_wait)


def watch_compiled(model: Any, clock: Clock) -> Iterator[Watched]:
    """The compiled engine's loops; worlds are clocked when they are made."""
    yield model, "train", clock.timed("update", model.train)
    for name, function in (("acting", "act"), ("dqn", "choose")):
        engine = importlib.import_module(f"rl_transfer.engine.{name}")
        yield engine, function, clock.timed("acting", getattr(engine, function))
    for name in ("on_policy", "q_learning"):
        joined = importlib.import_module(f"rl_transfer.rl.compiled.{name}")
        yield joined, "worlds_of", clocked(joined.worlds_of, clock)


def clocked(make: Callable[[BaseAlgorithm], Any], clock: Clock) -> Callable[[BaseAlgorithm], Any]:
    """The same, its worlds' steps timed."""

    def made(model: BaseAlgorithm) -> Any:
        worlds = make(model)
        worlds.step = clock.timed("environment", worlds.step)
        return worlds

    return made


class Runs:
    """Whole runs of the product, one after the other in this process, as a worker executes them."""

    def __init__(self, case: Case, engine: str) -> None:
        self._case, self._engine = case, engine

    def turn(self, seed: int) -> Result:
        """Execute the run; ``score`` is its last evaluation, ``parts`` the seconds of its evaluations."""
        evaluation = {"every": self._case.steps // 5, "episodes": 10}
        run = self._case.run(seed, self._engine, evaluation=evaluation)
        clock = Clock()
        evaluator = importlib.import_module("rl_transfer.rl.environments.evaluate").Evaluator
        plain = evaluator.run
        evaluator.run = clock.timed("evaluation", plain)
        try:
            with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
                folder = RunStore(Path(root)).open().folder(run_id(run))
                clock.reset()
                _, cpu, wall = timed(lambda: execute(run, folder, None, say=lambda _: None))
                clock.stop()
                score = float(np.mean(folder.curve()[-1]["returns"]))
        finally:
            evaluator.run = plain
        return {
            "cpu": cpu, "wall": wall, "steps": self._case.steps, "score": score,
            "parts": {"evaluation": clock.seconds["evaluation"]},
        }  # fmt: skip


def prepare(job: dict[str, Any]) -> tuple[Turn, dict[str, Any]]:
    """Import, compile and warm up; the seconds of the first turn stand apart."""
    if job["engine"] not in ENGINES:
        raise SystemExit(f"no such engine; expected {', '.join(ENGINES)}, or jax-N for N members")
    torch.set_num_threads(1)
    case = every_case()[job["case"]].shortened(job.get("steps"))
    told: dict[str, Any] = {"settings": case.settings}
    turn: Callable[[int], Result]
    if job["engine"] == "floor":
        floor = Floor(case)
        turn, told["operations"] = floor.turn, floor.operations
        if job.get("profiled") and isinstance(case.run(0).algorithm, PPOConfig) and not case.strategy:
            told["kernels"] = list(kernels(case))
    elif job.get("run"):
        turn = Runs(case, job["engine"]).turn
    else:
        turn = Trainings(case, job["engine"], bool(job.get("profiled"))).turn
        first = Trainings(case.shortened(512), job["engine"], profiled=False)
        _, told["first"], _ = timed(lambda: first.turn(0))
    return turn, told


if __name__ == "__main__":
    serve(prepare)
