"""What a run does between its rollouts: evaluate, log, write a sign of life.

SB3's ``train()`` follows the last ``_on_step`` of a rollout, so an evaluation there would never
see the last update. Evaluations happen before ``learn`` begins, in ``_on_rollout_start`` after every
update that the interval asks for, and once more in :meth:`TrainingCurve.close`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from rl_transfer.core import count_parameters, learning_rates_by_part
from rl_transfer.frame.events import EventWriter
from rl_transfer.results import PLAYED, RunFolder
from rl_transfer.rl.environments.evaluate import Episodes, Evaluator
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer.rl.environments.seeds import evaluation_seeds
from rl_transfer.rl.policies.bundle import log_entropy_coefficient
from rl_transfer.rl.policies.normalization import current_normalizer, restore, tensors
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.strategy.architecture import optimizers
from rl_transfer.rl.strategy.guide import Curriculum
from rl_transfer.rl.training.checkpoint import TrainingCheckpoints
from rl_transfer.rl.training.measuring import act_of
from rl_transfer.spec import RLRun

BEAT_SECONDS = 0.5


SnapshotTensors = tuple[dict[str, Tensor], dict[str, Tensor], Tensor | None]
"""A snapshot's policy, statistics and entropy coefficient."""


class CurveState(TypedDict):
    """What a checkpoint holds of a curve."""

    points: list[tuple[int, list[float], list[int], list[bool] | None]]
    best: tuple[float, SnapshotTensors] | None
    previous: SnapshotTensors | None
    guided: int
    next: int
    seconds: float


class TrainingCurve(BaseCallback):
    """Evaluates on schedule and records the learning curve; training is never disturbed."""

    def __init__(
        self,
        run: RLRun,
        folder: RunFolder,
        evaluator: Evaluator,
        transfer: PolicyTransfer,
        unseen: Curriculum | None,
        events: EventWriter,
        say: Callable[[str], None],
        checkpoints: TrainingCheckpoints,
    ) -> None:
        super().__init__()
        self._run, self._folder, self.evaluator = run, folder, evaluator
        self._checkpoints, self._going_on = checkpoints, checkpoints.going_on
        self._transfer, self._events, self._say = transfer, events, say
        self._unseen = unseen
        self._guided = 0
        self._charged = 0
        self._previous: Snapshot | None = None
        self._next = 0
        self._beat = 0.0
        self._started = time.monotonic()
        self.points: list[tuple[int, Episodes]] = []
        self.best: tuple[float, Snapshot] | None = None

    def _on_step(self) -> bool:
        step = self.model.num_timesteps
        refuse_non_finite(
            self._run.env.id, self.locals["new_obs"], self.locals["rewards"], f"training step {step:,}"
        )
        if time.monotonic() - self._beat >= BEAT_SECONDS:  # rollouts of slow environments take long
            self._write_beat()
        return True

    def _on_rollout_start(self) -> None:
        if self._going_on:
            self._going_on = False
            self._checkpoints.restore(self)
            return
        self._record_due()
        total = self._run.total_steps
        for selector in self._transfer.progress(min(1.0, self.model.num_timesteps / total)):
            self._say(f"step {self.model.num_timesteps:>9,}  {selector} is trainable from here on")
        if time.monotonic() - self._beat >= BEAT_SECONDS:
            self._write_beat()
        self._checkpoints.follow(self)

    def _on_rollout_end(self) -> None:
        """Charge the guide's environment steps that SB3 did not see to the budget."""
        if self._unseen is not None:
            self.model.num_timesteps += self._unseen.steps - self._guided
            self._guided = self._unseen.steps

    def close(self) -> None:
        """The last evaluation, after the last update."""
        self._record_due()
        self._write_beat()

    def begin(self, model: BaseAlgorithm) -> None:
        """The first evaluation, before ``learn`` resets the environments and moves any statistics.

        Args:
            model: ready to train; one that goes on from a checkpoint was evaluated already.
        """
        self.init_callback(model)
        if self._going_on:
            self._checkpoints.prepare(model)
        else:
            self._record_due()

    def charge(self, steps: int) -> None:
        """Spend a part of the budget before training: what a strategy samples from the target.

        Points of the schedule that lie before are of the policy as it is now.

        Args:
            steps: environment steps.
        """
        self._charged = steps
        while not self._going_on and self._next < min(steps, self._run.total_steps):
            self.evaluate(self._next)
            self._next += self._run.evaluation.every

    def _on_training_start(self) -> None:
        """``learn`` has begun to count at 0."""
        self.model.num_timesteps = self._charged

    def measure_only(self) -> None:
        """The learning curve of a policy that is not trained: the same points, no training."""
        total, every = self._run.total_steps, self._run.evaluation.every
        for step in sorted({*range(every, total, every), total}):
            if step >= self._next:
                self.evaluate(step)
        self._write_beat()

    def state(self) -> CurveState:
        """What a checkpoint holds of it.

        Returns:
            Plain data and tensors for :meth:`restore`.
        """
        return {
            "points": [(step, each.returns, each.lengths, each.successes) for step, each in self.points],
            "best": None if self.best is None else (self.best[0], self.best[1].tensors()),
            "previous": None if self._previous is None else self._previous.tensors(),
            "guided": self._guided,
            "next": self._next,
            "seconds": time.monotonic() - self._started,
        }

    def restore(self, state: CurveState) -> None:
        """Go on from there; the curve's file is written anew.

        Args:
            state: what :meth:`state` gave.
        """
        best, previous = state["best"], state["previous"]
        self.best = None if best is None else (best[0], Snapshot(*best[1]))
        self._previous = None if previous is None else Snapshot(*previous)
        self._guided, self._next = state["guided"], state["next"]
        self._started = time.monotonic() - state["seconds"]
        for k, point in enumerate(state["points"]):
            step, returns, lengths, successes = (*point, None)[:4]  # older checkpoints have no successes
            self.points.append((step, Episodes(returns, lengths, successes)))
            self._folder.append_evaluation(k, step, returns, lengths, successes)

    def _record_due(self) -> None:
        """Evaluate for every point of the schedule that has been reached.

        A guide's steps can carry a rollout past a point; the policy from before that rollout then
        counts for it, so that no point of the curve had more steps than it says. At the end of the
        budget that policy is the one that is kept.
        """
        now, total = self.model.num_timesteps, self._run.total_steps
        while self._next <= now and (not self.points or self.points[-1][0] < total):
            if self._next < now and self._previous is not None:
                current = Snapshot.of(self.model)
                self._previous.restore(self.model)
                self.evaluate(self._next)
                if self._next < total:
                    current.restore(self.model)
            else:
                self.evaluate(self._next)
            self._next = min(self._next + self._run.evaluation.every, max(total, self._next + 1))
        if self._unseen is not None:
            self._previous = Snapshot.of(self.model)

    def evaluate(self, step: int) -> None:
        """One point of the learning curve.

        Args:
            step: environment steps that it stands for.
        """
        k = len(self.points)
        if self._run.algorithm is None:
            raise ValueError("a run without an algorithm has no learning curve to record")
        normalize = current_normalizer(self.training_env, self._run.algorithm)
        act = act_of(self._run, self.model.policy, normalize)
        was_training = self.model.policy.training
        episodes = self.evaluator.run(act, evaluation_seeds(self._run, k))
        self.model.policy.set_training_mode(was_training)
        self.points.append((step, episodes))
        self._folder.append_evaluation(k, step, episodes.returns, episodes.lengths, episodes.successes)
        self._log(step, episodes)
        self._say(f"step {step:>9,}  mean score {episodes.mean_return:10.2f}{self._remaining(step)}")
        wants_best = self._run.training is not None and self._run.training.keep == "best"
        if wants_best and (self.best is None or episodes.mean_return > self.best[0]):
            self.best = (episodes.mean_return, Snapshot.of(self.model))

    def _remaining(self, step: int) -> str:
        """How long the rest will take, judged by the part so far."""
        elapsed = time.monotonic() - self._started
        if not 0 < step < self._run.total_steps:
            return ""
        minutes, seconds = divmod(round(elapsed / step * (self._run.total_steps - step)), 60)
        return f"  {minutes}:{seconds:02} to go"

    def _log(self, step: int, episodes: Episodes) -> None:
        numbers: dict[str, float] = {
            PLAYED.curve_tag: episodes.mean_return,
            "evaluation/mean_length": sum(episodes.lengths) / len(episodes.lengths),
            "parameters/trainable": count_parameters(self.model.policy)["trainable"],
        }
        if episodes.successes is not None:
            numbers["evaluation/success_rate"] = sum(episodes.successes) / len(episodes.successes)
        for optimizer in optimizers(self.model):
            rates = learning_rates_by_part(optimizer, self.model.policy, self._transfer.parts)
            numbers |= {f"learning_rate/{part}": rate for part, rate in rates.items()}
        self._events.add_scalars(numbers, step)

    def _write_beat(self) -> None:
        self._beat = time.monotonic()
        score = self.points[-1][1].mean_return if self.points else None
        self._folder.beat(min(self.model.num_timesteps, self._run.total_steps), self._run.total_steps, score)


@dataclass(frozen=True)
class Snapshot:
    """A model's policy with what belongs to it: statistics and entropy coefficient."""

    policy: dict[str, Tensor]
    statistics: dict[str, Tensor]
    entropy: Tensor | None

    @classmethod
    def of(cls, model: BaseAlgorithm) -> Snapshot:
        """What a model is now.

        Args:
            model: any; its tensors are copied.
        """
        entropy = log_entropy_coefficient(model)
        return cls(
            {name: value.clone() for name, value in model.policy.state_dict().items()},
            {} if model.env is None else tensors(model.env),
            None if entropy is None else entropy.detach().clone(),
        )

    def tensors(self) -> SnapshotTensors:
        """What it consists of, in the order of its attributes."""
        return self.policy, self.statistics, self.entropy

    def restore(self, model: BaseAlgorithm) -> None:
        """Put everything back.

        Args:
            model: the one that it was taken of.
        """
        model.policy.load_state_dict(self.policy)
        if model.env is not None:
            restore(model.env, self.statistics)
        entropy = log_entropy_coefficient(model)
        if entropy is not None and self.entropy is not None:
            with torch.no_grad():
                entropy.copy_(self.entropy)
