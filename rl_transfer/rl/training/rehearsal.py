"""A moment of training on a model that is thrown away: a user's hooks meet there what they meet later."""

from __future__ import annotations

from stable_baselines3.common.base_class import BaseAlgorithm

from rl_transfer.core import isolated
from rl_transfer.errors import RLTransferError, TransferError
from rl_transfer.rl.environments import seeds
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.strategy.hooks import HookContext, user_hook
from rl_transfer.spec import Algorithm, RLRun
from rl_transfer.spec.knobs import transfer_algorithm
from rl_transfer.spec.strategy import EWCConfig
from rl_transfer.wording import in_words, what_was_raised

STEPS = 8
"""Steps of each training environment: two rollouts or eight updates, enough for delayed actors."""


def rehearse(run: RLRun, source: Policy | None) -> None:
    """Train for a moment with a strategy's hooks, before anything is trained in earnest.

    Leaves no trace: the model is dropped and the global generators are as they were.

    Args:
        run: one without hooks is not rehearsed.
        source: the source policy, if the strategy has one.

    Raises:
        ConfigError: a hook cannot be built, or does not take the arguments of its kind.
        TransferError: a hook raises, gives what its kind does not give or a state from which no other one
            goes on, or training raises with it.
    """
    if run.algorithm is None or run.strategy is None or not run.strategy.hooks:
        return
    seed, env = seeds.transfer_seed(run), None
    try:
        with isolated(seed):
            hook = user_hook(run.strategy, "behaviour", HookContext(run, source, seed))
            algorithm = _brief(transfer_algorithm(run.algorithm, run.strategy))
            wrappers = [] if hook is None else [hook.wrap]
            env = normalization.wrap(make_vec_env(run.env, algorithm.n_envs, wrappers), algorithm)
            model: BaseAlgorithm = build_model(algorithm, env, 0)
            transfer = PolicyTransfer(few_samples(run), model, env, source, seed)
            model.learn(STEPS * algorithm.n_envs)
            for used in (hook, transfer.loss_hook):
                fresh = used and user_hook(run.strategy, used.kind, HookContext(run, source, seed))
                if used is not None and fresh is not None:
                    used.check_state(fresh)
    except RLTransferError:
        raise
    except Exception as error:
        names = in_words([*run.strategy.hooks.values()])
        raise TransferError(
            f"a moment of training with {names} raised {what_was_raised(error)}", key="strategy.hooks"
        ) from error
    finally:
        if env is not None:
            env.close()


def few_samples(run: RLRun) -> RLRun:
    """The run with a strategy that looks at few states of the source, for trials.

    Args:
        run: any.
    """
    verbs = run.strategy
    if verbs is None:
        return run
    changes: dict[str, object] = {}
    if isinstance(verbs.anchor, EWCConfig):
        changes["anchor"] = verbs.anchor.model_copy(update={"samples": 4})
    if verbs.match is not None:
        changes["match"] = verbs.match.model_copy(update={"samples": 64})
    return run.model_copy(update={"strategy": verbs.model_copy(update=changes)}) if changes else run


def _brief(algorithm: Algorithm) -> Algorithm:
    """The same algorithm with a buffer that a moment fills."""
    changes: dict[str, int] = {"n_steps": STEPS // 2, "n_epochs": 1}
    changes["batch_size"] = STEPS // 2 * algorithm.n_envs
    if traits_of(algorithm.name).off_policy:
        changes |= {"learning_starts": 0, "train_freq": 1, "gradient_steps": 1, "batch_size": 2}
        changes["buffer_size"] = STEPS * algorithm.n_envs
    fields = type(algorithm).model_fields
    brief: Algorithm = algorithm.model_copy(
        update={key: value for key, value in changes.items() if key in fields}
    )
    return brief
