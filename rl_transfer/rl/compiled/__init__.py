"""The compiled engine under an SB3 model: same policy, same statistics, same files, other loops.

A model stays the SB3 model that it was: its tensors become views of the engine's arrays, its optimizer's
moments too, and ``collect_rollouts`` and ``train`` are replaced. Evaluation, freezing with its proof,
bundles, checkpoints and export read what they always read.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from rl_transfer.errors import MissingExtraError, TransferError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

REMEDY = 'pip install "rl-transfer[fast]"'


def why_missing() -> str | None:
    """What the engine needs and this Python does not have; nothing heavy is imported.

    Returns:
        A reason with its remedy, for people; None if everything is there.
    """
    missing = [name for name in ("numba", "scipy") if importlib.util.find_spec(name) is None]
    return f"the compiled engine needs {' and '.join(missing)}: {REMEDY}" if missing else None


def install(model: BaseAlgorithm, seed: int) -> None:
    """Let the compiled engine train a model from now on.

    Call it when everything that changes the network's architecture has happened; what is frozen, thawed
    or scaled in its rate later is followed.

    Args:
        model: PPO, A2C or DQN with dense networks, seeded, on its training environments.
        seed: key of the engine's generators, ≥ 0.

    Raises:
        TransferError: the engine cannot train it; the message says why.
        MissingExtraError: Numba or SciPy is missing or does not load.
    """
    reason = why_missing()
    if reason is not None:
        raise MissingExtraError(reason)
    try:
        from rl_transfer.rl.compiled.fit import why_not
        from rl_transfer.rl.compiled.on_policy import CompiledOnPolicy
        from rl_transfer.rl.compiled.q_learning import CompiledDQN
    except ImportError as error:
        raise MissingExtraError(f"the compiled engine does not load ({error}): {REMEDY}") from error
    reason = why_not(model)
    if reason is not None:
        raise TransferError(f"the compiled engine cannot train this: {reason}; use training.engine: sb3")
    (CompiledDQN if hasattr(model, "q_net") else CompiledOnPolicy)(model, seed).attach()
