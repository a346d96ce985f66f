"""What a policy or classifier is that was written for others, as its card tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.spec.base import Json
from rl_transfer.wording import last_name


@dataclass(frozen=True)
class Published:
    """A network as files that others load.

    Attributes:
        parameters: numbers in it.
        digest: of tensors and description.
        files: file → what it is, in the order of reading.
        notes: what was assumed while it was imported, and what could not be written, a sentence each.
    """

    parameters: int
    digest: str
    files: Mapping[str, str]
    notes: Sequence[str]


@dataclass(frozen=True)
class PublishedPolicy(Published):
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
        steps: environment steps that it was trained for; None: nobody said.
        sb3: the zip that Stable-Baselines3 loads; None: it knows no such network.
        vec_normalize: the file of its normalisation statistics for ``VecNormalize``; None: it has none.
        onnx: the file of the graph; None: none was asked for.
    """

    algorithm: str
    package: str
    policy: str
    env: str
    arguments: Mapping[str, Json]
    perturbations: Sequence[str]
    observations: str
    actions: str
    steps: int | None
    sb3: str | None
    vec_normalize: str | None
    onnx: str | None

    @property
    def name(self) -> str:
        """``ppo-CartPole-v1``, as agents are called on the Hub; an environment without its module."""
        place = self.env.rpartition(":")[2].replace("/", "-")
        return f"{self.algorithm.lower()}-{place}"


@dataclass(frozen=True)
class PlainLoading:
    """What of a classifier other libraries load, without this package.

    Attributes:
        text: what can be had, and what cannot; a sentence or two.
        lines: of Python that do it in the published folder; none where nothing can.
    """

    text: str
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class PublishedClassifier(Published):
    """A classifier as files that others load.

    Attributes:
        kind: of its data: ``image``.
        classifier: what people call it, with the article: ``an image classifier``.
        items: what people call many of its items: ``images``.
        task: what the Hugging Face Hub calls what it does: ``image-classification``; empty: nothing.
        model: its architecture in a few words.
        inputs: how items become its inputs.
        classes: their names in the order of the logits; None: nobody knows them.
        data: the config of what it was trained on, or measured on; None: nobody knows.
        seeds: root seed and seed index that its split is drawn with.
        weights: what is known of weights from elsewhere that it consists of; None: it was trained here.
        score: accuracy as its run measured it in the end; None: it did not.
        seen: of how many items the bundle says that it, or its source, was trained on them; None: it does
            not say.
        elsewhere: what of it other libraries load.
        graph: how ONNX Runtime runs it; None: no graph was asked for.
    """

    kind: str
    classifier: str
    items: str
    task: str
    model: str
    inputs: str
    classes: Sequence[str] | None
    data: Mapping[str, Json] | None
    seeds: tuple[int, int]
    weights: Mapping[str, Json] | None
    score: float | None
    seen: int | None
    elsewhere: PlainLoading
    graph: PlainLoading | None

    @property
    def data_name(self) -> str:
        """What its data are called: ``digits``, ``CIFAR10``, a file's or folder's name."""
        data = self.data or {}
        named = data.get("dataset") or data.get("path") or data.get("name") or "unknown data"
        return last_name(str(named))

    @property
    def data_type(self) -> str:
        """The same as a word: letters and digits, without the ending of a file."""
        return "-".join(re.findall(r"[\w]+", self.data_name.partition(".")[0])) or "data"

    @property
    def name(self) -> str:
        """``image-small-resnet-digits``, as models are called on the Hub."""
        words = f"{self.kind} {self.model} {self.data_type}".lower()
        return "-".join(re.findall(r"[a-z0-9_.]+", words))
