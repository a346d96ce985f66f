"""The checkpoint of a training run: what is in it, when it cannot be, and how a run goes on from one.

It is taken where a rollout begins, after everything that happens there, and restored at the same place:
``learn`` has then built and reset all that it needs, and the next thing that it does is to act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from rl_transfer.core import isolated
from rl_transfer.core.randomness import generator_states, set_generator_states
from rl_transfer.errors import TransferError
from rl_transfer.frame import Say
from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.frame.restore import restore
from rl_transfer.frame.state import MISSING, CannotCapture, CannotRestore, capture
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.environments.seeds import resumption_seed, transfer_seed
from rl_transfer.rl.environments.state import KINDS, SPECIALS, why_not_restorable
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.strategy.checked_hooks import CheckedHook, HookKind
from rl_transfer.rl.strategy.guide import Curriculum
from rl_transfer.rl.strategy.matching import MatchLoss
from rl_transfer.spec import RLRun
from rl_transfer.spec.base import JsonObject
from rl_transfer.spec.engine import COMPILED

if TYPE_CHECKING:
    from rl_transfer.rl.training.curve import CurveState, TrainingCurve

RESTORED, RESET = "restored", "reset"


def why_none(run: RLRun, hooks: Iterable[CheckedHook]) -> str | None:
    """Why a run keeps no checkpoints; None if it can.

    Args:
        run: trained.
        hooks: the user's own, of its losses and its behaviour.

    Returns:
        A reason for people.
    """
    mute = sorted(each.kind for each in hooks if not each.keeps_state)
    if not mute or run.strategy is None:
        return None
    path = run.strategy.hooks[mute[0]]
    return f"hooks.{mute[0]} may keep something, and {path} has no state_dict and load_state_dict"


@dataclass
class TrainingCheckpoints:
    """Takes and restores the checkpoints of one training run.

    Attributes:
        run: what is trained.
        checkpoints: on disk.
        transfer: the strategy, applied.
        curriculum: of the guide, if there is one.
        say: gets a line for every one.
        behaviour: the user's hook of this kind, if there is one.
        another: builds the user's hook of a kind anew, for trials.
    """

    run: RLRun
    checkpoints: Checkpoints
    transfer: PolicyTransfer
    curriculum: Curriculum | None
    say: Say
    behaviour: CheckedHook | None
    another: Callable[[HookKind], CheckedHook | None]
    _environments: str | None = None

    def __post_init__(self) -> None:
        reason = why_none(self.run, self._hooks().values())
        if reason is not None and self.run.checkpoint_minutes:
            self.checkpoints.stop(reason)

    def _hooks(self) -> dict[HookKind, CheckedHook]:
        """The user's own whose state is theirs to tell."""
        return {each.kind: each for each in (self.transfer.loss_hook, self.behaviour) if each is not None}

    @property
    def going_on(self) -> bool:
        """Whether the run goes on from a checkpoint."""
        return self.checkpoints.current is not None

    def prepare(self, model: BaseAlgorithm) -> None:
        """Seed the reset with which ``learn`` begins, where environments cannot be put back afterwards.

        Args:
            model: seeded, not yet in training.
        """
        found = self.checkpoints.current
        if found is not None and found.about["environments"] == RESET and model.env is not None:
            model.env.seed(resumption_seed(self.run, found.step))

    def follow(self, curve: TrainingCurve) -> None:
        """Take a checkpoint if it is time.

        Args:
            curve: at the beginning of a rollout, everything done there.
        """
        if not self.checkpoints.due:
            return
        if self._environments is None:
            self._environments = self._judge()
        model = curve.model
        try:
            self._try_hooks()
            state = capture(
                self._root(curve), fixed=self._fixed(curve), kinds=(*KINDS, Logger), specials=SPECIALS
            )
        except (CannotCapture, TransferError) as error:
            self.checkpoints.stop(str(error))
            return
        extra: JsonObject = {
            "environments": self._environments,
            "thaws": list(self.transfer.taken_thaws),
        }
        self.checkpoints.write(model.num_timesteps, state, extra)

    def _judge(self) -> str:
        """Whether the environments can be put back to where they were."""
        training, algorithm = self.run.training, self.run.algorithm
        if training is None or algorithm is None:
            return RESET
        copies = min(2, algorithm.n_envs)

        def build() -> VecEnv:
            hook = self.another("behaviour")
            wrappers = [] if hook is None else [hook.wrap]
            return make_vec_env(self.run.env, copies, wrappers, vectorization=training.vectorization)

        reason = why_not_restorable(build)
        if reason is not None:
            self.say(f"environments will be reset if the run is interrupted: {reason}")
        return RESET if reason is not None else RESTORED

    def _try_hooks(self) -> None:
        """See that new hooks go on from what those in use say now: in the preflight little had happened.

        Raises:
            TransferError: one does not.
        """
        for kind, hook in self._hooks().items():
            with isolated(transfer_seed(self.run)):
                fresh = self.another(kind) if hook.keeps_state else None
                if fresh is not None:
                    hook.check_state(fresh)

    def _fixed(self, curve: TrainingCurve) -> list[object]:
        """What is not carried: a rollout that has not begun, states of the source, which are collected again,
        and environments that cannot be put back.
        """
        model = curve.model
        left_out: list[object] = [getattr(model, "rollout_buffer", None)]
        left_out += [each.stored for each in self.transfer.losses if isinstance(each, MatchLoss)]
        if self.run.engine == COMPILED:  # every evaluation seeds all that its environments draw
            left_out.append(curve.evaluator)
        env = model.env
        while isinstance(env, VecEnvWrapper):
            left_out.append(env.class_attributes)
            env = env.venv
        if self._environments == RESET:
            normalized = model.get_vec_normalize_env()
            left_out += [env, curve.evaluator, *sb3_seams.last_seen(model)]
            left_out += [] if normalized is None else [normalized.returns]
        return [each for each in left_out if each is not None]

    def _root(self, curve: TrainingCurve) -> dict[str, object]:
        return {
            "model": curve.model,
            "evaluator": curve.evaluator,
            "curve": curve.state(),
            "losses": [each for each in self.transfer.losses if each is not self.transfer.loss_hook],
            "curriculum": self.curriculum,
            "generators": generator_states(),
            "hooks": {kind: hook.state() for kind, hook in self._hooks().items()},
        }

    def restore(self, curve: TrainingCurve) -> None:
        """Put everything back to where the current checkpoint was taken.

        Args:
            curve: at the beginning of the first rollout, nothing done there yet.

        Raises:
            CannotRestore: the checkpoint does not fit the run; the model must not be used any more.
        """
        found = self.checkpoints.current
        if found is None:
            return
        try:
            for share in dict.fromkeys(found.about["thaws"]):
                self.transfer.progress(share)
            twins = {**self._root(curve), "curve": MISSING, "generators": MISSING, "hooks": MISSING}
            root = cast("dict[str, object]", restore(found.state, twins, specials=SPECIALS))
            curve.restore(cast("CurveState", root["curve"]))
            for kind, state in cast("dict[HookKind, dict[str, object]]", root.get("hooks", {})).items():
                self._hooks()[kind].load(state)
            set_generator_states(cast("dict[str, object]", root["generators"]))
        except TransferError as error:
            raise CannotRestore(error.message) from error
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CannotRestore(f"{type(error).__name__}: {error}") from error
        self._environments = RESTORED if found.about["environments"] == RESTORED else RESET
        self.checkpoints.resumed.append({"step": found.step, "environments": self._environments})
        self.checkpoints.wait()
        self.say(f"step {found.step:>9,}  resumed; environments {self._environments}")
