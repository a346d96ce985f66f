"""How the policies of a run are measured: by the engine that trains it."""

from __future__ import annotations

from stable_baselines3.common.policies import BasePolicy

from rl_transfer.rl.environments.evaluate import Act, Evaluator, SinglePlayers
from rl_transfer.rl.policies.bundle import as_act
from rl_transfer.rl.policies.normalization import Normalizer
from rl_transfer.spec import Environment, RLRun
from rl_transfer.spec.engine import COMPILED


def evaluator_of(run: RLRun, env: Environment | None = None) -> Evaluator:
    """What evaluates the policies of a run.

    Args:
        run: its engine and number of episodes count.
        env: where; the run's own environment if not given, which alone is asked for successes.

    Returns:
        The evaluator, to be closed.

    Raises:
        EnvironmentSpecError: the environment cannot be built.
    """
    config, episodes = env or run.env, run.evaluation.episodes
    success = run.evaluation.success if env is None else None
    if success is not None:
        return Evaluator(config, episodes, players=SinglePlayers(config, episodes, success=success))
    if run.engine != COMPILED:
        return Evaluator(config, episodes)
    from rl_transfer.rl.compiled.players import players  # heavy: Numba and SciPy

    return Evaluator(config, episodes, players=players(config, episodes))


def act_of(run: RLRun, policy: BasePolicy, normalize: Normalizer | None) -> Act:
    """A policy of a run, the source's among them, as a function of stacked observations.

    Args:
        run: its engine counts, and whether evaluations are deterministic.
        policy: an SB3 policy; the engine reads its tensors once, now.
        normalize: what it expects its observations to have gone through; None: nothing.

    Returns:
        Observations ``[episode, …]`` as the environment gives them → actions ``[episode, …]``.
    """
    deterministic = run.evaluation.deterministic
    if run.engine != COMPILED:
        return as_act(policy, normalize, deterministic)
    from rl_transfer.rl.compiled import players  # heavy: Numba and SciPy

    return players.act_of(policy, normalize, deterministic)
