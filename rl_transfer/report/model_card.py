"""The card of a published policy: ``README.md`` with the header that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rl_transfer.analysis.arm_statistics import mean_interval
from rl_transfer.report.markdown import UNDEFINED, code, figures, literal, table
from rl_transfer.report.run_card import (
    CONFIDENCE,
    WRITTEN_BY,
    RunCard,
    ending,
    over_runs,
    placeless_setting,
    training,
    transfer,
)
from rl_transfer.report.verdict_text import unmarked
from rl_transfer.results.published import PublishedPolicy
from rl_transfer.spec.base import Json
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.wording import amount, counted


@dataclass(frozen=True)
class PlayedScore:
    """What one policy reached in some episodes.

    Attributes:
        what: which episodes, and what to know of them.
        returns: ``returns[episode]`` in reward units; one at least.
        fresh: played for the card: nothing was chosen by it, so the header may name it.
    """

    what: str
    returns: Sequence[float]
    fresh: bool = False


@dataclass(frozen=True)
class ModelCard(RunCard):
    """Everything that the card of a policy tells.

    Attributes:
        policy: what was written.
        scores: measured ones; one that is fresh comes first, and the header names it.
    """

    policy: PublishedPolicy
    scores: Sequence[PlayedScore]

    def text(self) -> str:
        """The whole card.

        Returns:
            Markdown under a YAML header.
        """
        header = yaml_text(_header(self))
        body = "\n\n".join(part for part in _parts(self) if part)
        return f"---\n{header}---\n\n{body}\n"


def _header(card: ModelCard) -> dict[str, Json]:
    policy = card.policy
    tags: list[Json] = ["reinforcement-learning", "rl-transfer", policy.algorithm.lower(), policy.env]
    tags += ["stable-baselines3"] * (policy.sb3 is not None) + ["onnx"] * (policy.onnx is not None)
    tags += ["transfer-learning"] * card.is_transfer
    found: dict[str, Json] = {
        "library_name": "stable-baselines3" if policy.sb3 else "rl-transfer",
        "tags": tags,
        "pipeline_tag": "reinforcement-learning",
    }
    if card.licence is not None:
        found["license"] = card.licence
    if card.scores and card.scores[0].fresh:
        found["model-index"] = [{"name": policy.name, "results": [_result(policy, card.scores[0])]}]
    return found


def _result(policy: PublishedPolicy, score: PlayedScore) -> Json:
    where = "; ".join(each.partition(" (")[0] for each in policy.perturbations)
    returns = [*map(float, score.returns)]
    mean, _, spread, *_ = figures(returns, mean_interval(returns, CONFIDENCE))
    value = mean if spread == UNDEFINED else f"{mean} +/- {spread}"
    return {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"name": f"{policy.env} ({where})" if where else policy.env, "type": policy.env},
        "metrics": [{"type": "mean_reward", "name": "mean_reward", "value": value, "verified": False}],
    }


def _parts(card: ModelCard) -> Iterator[str]:
    policy = card.policy
    changed = f", {counted(len(policy.perturbations), 'perturbation')}" if policy.perturbations else ""
    yield f"# {unmarked(policy.algorithm)} in {unmarked(policy.env)}{changed}"
    yield _summary(card)
    yield from _score(card)
    yield from _environment(policy)
    yield from training(card, "policy")
    yield from transfer(card, "policy", "steps")
    yield from _loading(card)
    yield from ending(card, policy)


def _summary(card: ModelCard) -> str:
    policy = card.policy
    steps = "" if policy.steps is None else f", trained for {amount(policy.steps, 'environment steps')}"
    return (
        f"A policy of {unmarked(policy.algorithm)} ({unmarked(policy.policy)}, {policy.parameters:,} "
        f"parameters, observations {unmarked(policy.observations)}, "
        f"actions {unmarked(policy.actions)}){steps}. "
        f"{WRITTEN_BY}"
    )


def _score(card: ModelCard) -> Iterator[str]:
    yield "## Scores"
    rows = [_score_row(score) for score in card.scores]
    rows += [] if card.sweep is None else [*over_runs(card.sweep, 2)]
    if not rows:
        yield "Not measured: nothing was played for this card, and no run of ours recorded an evaluation."
        return
    head = ("mean episodic return of", "mean", "95 % interval", "standard deviation", "least", "greatest")
    yield table(head, rows)
    yield (
        "Episodes: Student's t over the episodes of this one policy. Runs: over runs with other seeds, and "
        "so about training, not about this one file. A dash stands where nothing varied, or there was one "
        "value: no interval can be had from that."
    )
    if card.scores and card.scores[0].fresh:
        yield "The header's `mean_reward` is the first row, as the Hub has it: mean +/- standard deviation."


def _score_row(score: PlayedScore) -> tuple[str, ...]:
    returns = [*map(float, score.returns)]
    return (unmarked(score.what), *figures(returns, mean_interval(returns, CONFIDENCE)))


def _environment(policy: PublishedPolicy) -> Iterator[str]:
    yield "## Environment"
    given = {key: placeless_setting(key, value) for key, value in policy.arguments.items()}
    arguments = f" with {unmarked(str(given))}" if given else ""
    yield f"{literal(policy.env)} of Gymnasium{arguments}" + (
        ", changed:" if policy.perturbations else ", as registered."
    )
    if policy.perturbations:
        yield "\n".join(f"- {unmarked(each)}" for each in policy.perturbations)


def _loading(card: ModelCard) -> Iterator[str]:
    policy, where = card.policy, card.address
    yield "## Loading"
    yield code(
        "bash",
        "pip install 'rl-transfer[hub]'",
        f"rl-transfer evaluate {where}",
        f"rl-transfer transfer target.yaml --source {where}   # a transfer config of yours",
    )
    yield code("python", "import rl_transfer as rt", "", f'print(rt.evaluate("{where}"))')
    if policy.sb3:
        lines = [
            f"from {policy.package} import {policy.algorithm}",
            "",
            f'model = {policy.algorithm}.load("{policy.sb3}")',
        ]
        if policy.vec_normalize:
            lines += [
                "from stable_baselines3.common.vec_env import VecNormalize",
                f'env = VecNormalize.load("{policy.vec_normalize}", env)  # env: a VecEnv',
                "env.training = False",
            ]
        yield (
            "With Stable-Baselines3 alone, which unpickles what it loads and so runs whatever code is in it: "
            "only where you trust whoever published this. The lines above unpickle nothing."
        )
        yield code("python", *lines)
    if policy.onnx:
        yield "Anywhere that ONNX runs; normalisation and the bounds of actions are in the graph:"
        yield code(
            "python",
            "import numpy as np",
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{policy.onnx}")',
            "print([each.name for each in session.get_inputs()])",
            'given = observation if isinstance(observation, dict) else {"observation": observation}',
            "batch = {name: np.asarray(value)[None] for name, value in given.items()}",
            '(action,) = session.run(["action"], batch)',
        )
