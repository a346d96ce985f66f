"""The compiled engine under an SB3 model: same policy, same statistics, same files, other loops.

A model stays the SB3 model that it was: its tensors become views of the engine's arrays, its optimizer's
moments too, and ``collect_rollouts`` and ``train`` are replaced. Evaluation, freezing with its proof,
bundles, checkpoints and export read what they always read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl_transfer.errors import TransferError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stable_baselines3.common.base_class import BaseAlgorithm

    from rl_transfer.core import Anchor


def install(model: BaseAlgorithm, seed: int, anchors: Sequence[Anchor] = ()) -> None:
    """Let the compiled engine train a model from now on.

    Call it when everything that changes the network's architecture has happened; what is frozen, thawed
    or scaled in its rate later is followed.

    Args:
        model: PPO, A2C or DQN with dense networks, seeded, on its training environments.
        seed: key of the engine's generators, ≥ 0.
        anchors: what hooks into the model's optimizer, if anything does.

    Raises:
        TransferError: the engine cannot train it; the message says why.
    """
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from rl_transfer.rl.compiled.fit import why_not
    from rl_transfer.rl.compiled.on_policy import CompiledOnPolicy
    from rl_transfer.rl.compiled.q_learning import CompiledQLearning

    reason = why_not(model, anchored=bool(anchors))
    if reason is None and isinstance(model, OffPolicyAlgorithm):
        CompiledQLearning(model, seed, anchors).attach()
    elif reason is None and isinstance(model, OnPolicyAlgorithm):
        CompiledOnPolicy(model, seed, anchors).attach()
    else:
        raise TransferError(f"the compiled engine cannot train this: {reason}; use training.engine: sb3")
