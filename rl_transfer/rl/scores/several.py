"""Several sources on one target; random actions are played there once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from rl_transfer.frame import Say
from rl_transfer.frame.scores import PREDICTED, ScoringRequest, SourceScores
from rl_transfer.rl.scores.context import context_values
from rl_transfer.rl.scores.score import TargetSide, score_policy
from rl_transfer.rl.sources.load import load_source
from rl_transfer.spec.environment import read_environment
from rl_transfer.spec.rl import Environment
from rl_transfer.spec.scores import PairScoring


def score_sources(arguments: Sequence[str], request: ScoringRequest, say: Say) -> list[SourceScores]:
    """Score policies in an environment.

    Args:
        arguments: bundles, run folders, SB3 zips, Hub names.
        request: environment, and steps of it.
        say: gets a line before every source.

    Returns:
        In the order of ``arguments``.

    Raises:
        RLTransferError: a policy or the environment cannot be read, or the steps are too few.
    """
    torch.set_num_threads(1)  # as in runs: more would round otherwise
    env = read_environment(request.target) or Environment(id=request.target)
    target = TargetSide(env, request.steps, request.seed, 0)
    try:
        found = []
        for argument in arguments:
            say(f"scoring {argument}")
            policy = load_source(argument)
            scores = score_policy(policy, target, PairScoring(steps=request.steps))
            if request.predict is not None:
                gain = request.predict(policy.env, env, context_values)
                scores = replace(scores, scores={**scores.scores, PREDICTED: gain})
            found.append(replace(scores, notes=tuple(map(str, policy.metadata.get("notes") or ()))))
    finally:
        target.player.close()
    return found
