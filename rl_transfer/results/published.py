"""What a policy is that was written for others, as its model card tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.spec.base import Json


@dataclass(frozen=True)
class PublishedPolicy:
    """A policy as files that others load.

    Attributes:
        algorithm: SB3's name of what trained it.
        package: the import package of that class: ``stable_baselines3``, ``sb3_contrib``.
        policy: SB3's name of its network: ``MlpPolicy``, ``CnnPolicy``, ``MultiInputPolicy``.
        env: the environment's id.
        arguments: of the environment's constructor.
        perturbations: what is changed in the environment, a sentence each, in the order of application.
        observations: the observation space in short.
        actions: the action space in short.
        parameters: numbers in its network.
        steps: environment steps that it was trained for; None: nobody said.
        digest: of tensors and description.
        files: file → what it is, in the order of reading.
        sb3: the zip that Stable-Baselines3 loads; None: it knows no such network.
        vec_normalize: the file of its normalisation statistics for ``VecNormalize``; None: it has none.
        onnx: the file of the graph; None: none was asked for.
        notes: what was assumed while it was imported, and what could not be written, a sentence each.
    """

    algorithm: str
    package: str
    policy: str
    env: str
    arguments: Mapping[str, Json]
    perturbations: Sequence[str]
    observations: str
    actions: str
    parameters: int
    steps: int | None
    digest: str
    files: Mapping[str, str]
    sb3: str | None
    vec_normalize: str | None
    onnx: str | None
    notes: Sequence[str]

    @property
    def name(self) -> str:
        """``ppo-CartPole-v1``, as agents are called on the Hub; an environment without its module."""
        place = self.env.rpartition(":")[2].replace("/", "-")
        return f"{self.algorithm.lower()}-{place}"
