"""Features of a frozen trunk: taken at the head's door, computed once, reused every epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rl_transfer.core import isolated
from rl_transfer.core.digest import tensors_of
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.evaluate import in_training, measuring


@dataclass(frozen=True)
class Penultimate:
    """What enters a network's head, and the head as a function of it."""

    model: nn.Module
    path: str

    @property
    def head(self) -> nn.Module:
        """The head's module."""
        return self.model.get_submodule(self.path)

    def features(self, inputs: Tensor) -> Tensor:
        """The head's input for a batch, without gradient.

        Args:
            inputs: [n, *input_shape], on the model's device.

        Returns:
            [n, …] on the same device.
        """
        caught: list[Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].detach()))
        try:
            with torch.no_grad():
                self.model(inputs)
        finally:
            handle.remove()
        return caught[0]

    def of_part(self, batches: Batches, batch_size: int, device: torch.device) -> Tensor:
        """The features of every item of a part, in its order.

        Args:
            batches: the part.
            batch_size: items per forward pass.
            device: where the model is.

        Returns:
            [n, …] on the CPU.
        """
        found = [self.features(inputs.to(device)).cpu() for inputs, _ in batches.in_order(batch_size)]
        return torch.cat(found)


def why_not_cached(classifier: Classifier, example: Tensor) -> str | None:
    """Why the features of a classifier cannot be computed once and for all; None if they can.

    Three things are checked on the network as it is, not assumed: nothing before the head is
    trained or follows the data, nothing before it is random in training mode, and nothing
    comes after it.

    Args:
        classifier: with its freeze applied.
        example: at least two inputs [n, *input_shape], on the model's device.

    Returns:
        The reason, for people.
    """
    model = classifier.module
    if len(classifier.heads) != 1:
        return "the network has more than one head"
    live = tensors_of(model)
    trunk = [name for part in classifier.parts if part.role == "trunk" for name in part.tensor_names]
    if any(live[name].requires_grad for name in trunk):
        return "part of the trunk is trained"
    penultimate = Penultimate(model, classifier.heads[0])
    before = {name: tensor.detach().clone() for name, tensor in live.items()}
    try:
        with torch.no_grad(), isolated(0), in_training(model):
            first = penultimate.features(example)
            second = penultimate.features(example)
            with measuring(model):
                still = penultimate.features(example)
                whole = model(example)
                tail = penultimate.head(still)
    finally:
        moved = [name for name, tensor in live.items() if not torch.equal(tensor, before[name])]
        with torch.no_grad():
            for name in moved:
                live[name].copy_(before[name])
    following = [name for name in moved if name in trunk]
    if following:
        return f"running statistics of the trunk follow the data ({following[0]})"
    if not torch.equal(first, second) or not torch.equal(first, still):
        return "something before the head is random while training (dropout)"
    if tail.shape != whole.shape or not torch.equal(tail, whole):
        return "the head is not the network's last operation"
    return None
