"""What a run does between its rollouts: evaluate, log, write a sign of life.

SB3's ``train()`` follows the last ``_on_step`` of a rollout, so an evaluation there would never
see the last update. Evaluations happen in ``_on_rollout_start`` (before the first step, and after
every update that the interval asks for) and once more by :meth:`LearningCurve.close`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch.utils.tensorboard import SummaryWriter

from rl_transfer.core import PartMap, count_parameters
from rl_transfer.results import RunFolder
from rl_transfer.rl.evaluate import Episodes, Evaluator
from rl_transfer.rl.normalization import current_normalizer
from rl_transfer.rl.policies import as_act
from rl_transfer.rl.seeds import evaluation_seeds
from rl_transfer.spec import RLRun

BEAT_SECONDS = 0.5


class LearningCurve(BaseCallback):
    """Evaluates on schedule and records the learning curve; training is never disturbed."""

    def __init__(
        self,
        run: RLRun,
        folder: RunFolder,
        evaluator: Evaluator,
        parts: PartMap,
        writer: SummaryWriter,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._run, self._folder, self._evaluator = run, folder, evaluator
        self._parts, self._writer, self._say = parts, writer, say
        self._next = 0
        self._beat = 0.0
        self.points: list[tuple[int, Episodes]] = []
        self.best: tuple[float, dict[str, torch.Tensor]] | None = None

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._next:
            self.evaluate()
            self._next += self._run.evaluation.every
        if time.monotonic() - self._beat >= BEAT_SECONDS:
            self._write_beat()

    def close(self) -> None:
        """The last evaluation, after the last update."""
        if not self.points or self.points[-1][0] != self.num_timesteps:
            self.evaluate()
        self._write_beat()

    def evaluate(self) -> None:
        """One point of the learning curve, at the present step."""
        k, step = len(self.points), self.num_timesteps
        if self._run.algorithm is None:
            raise ValueError("a run without an algorithm has no learning curve to record")
        normalize = current_normalizer(self.training_env, self._run.algorithm)
        act = as_act(self.model.policy, normalize, self._run.evaluation.deterministic)
        was_training = self.model.policy.training
        episodes = self._evaluator.run(act, evaluation_seeds(self._run, k))
        self.model.policy.set_training_mode(was_training)
        self.points.append((step, episodes))
        self._folder.append_evaluation(k, step, episodes.returns, episodes.lengths)
        self._log(step, episodes)
        self._say(f"step {step:>9,}  mean score {episodes.mean_return:10.2f}")
        wants_best = self._run.training is not None and self._run.training.keep == "best"
        if wants_best and (self.best is None or episodes.mean_return > self.best[0]):
            state = {name: value.clone() for name, value in self.model.policy.state_dict().items()}
            self.best = (episodes.mean_return, state)

    def _log(self, step: int, episodes: Episodes) -> None:
        self._writer.add_scalar("evaluation/mean_return", episodes.mean_return, step)
        length = sum(episodes.lengths) / len(episodes.lengths)
        self._writer.add_scalar("evaluation/mean_length", length, step)
        counts = count_parameters(self.model.policy)
        self._writer.add_scalar("parameters/trainable", counts["trainable"], step)
        for part, rate in part_rates(self.model, self._parts).items():
            self._writer.add_scalar(f"learning_rate/{part}", rate, step)

    def _write_beat(self) -> None:
        self._beat = time.monotonic()
        score = self.points[-1][1].mean_return if self.points else None
        self._folder.beat(self.num_timesteps, self._run.total_steps, score)


def part_rates(model: Any, parts: PartMap) -> dict[str, float]:
    """Learning rate of each part with parameters; 0 where all of it is frozen."""
    rates: dict[int, float] = {}
    for owner in (model.policy, *model.policy.children()):
        optimizer = getattr(owner, "optimizer", None)
        for group in optimizer.param_groups if optimizer is not None else ():
            rates |= {id(parameter): float(group["lr"]) for parameter in group["params"]}
    named = dict(model.policy.named_parameters(remove_duplicate=False))
    found = {}
    for part in parts:
        parameters = [named[name] for name in part.tensor_names if name in named]
        if parameters:
            found[part.name] = max(
                (rates.get(id(each), 0.0) for each in parameters if each.requires_grad), default=0.0
            )
    return found
