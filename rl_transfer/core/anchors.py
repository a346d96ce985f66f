"""Penalties that hold a network near its source: L2-SP and EWC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from rl_transfer.core._text import shape_text
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing


class Anchor(Protocol):
    """A term that is added to the training loss."""

    def penalty(self, model: nn.Module) -> Tensor:
        """The term for the model's present parameters: a scalar with gradient.

        Args:
            model: the network that is being trained.

        Returns:
            A scalar with gradient, in the units of the loss.
        """
        ...

    def springs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """The term's gradient in another form: stiffness · (w − w⁰), entry by entry.

        Returns:
            Name of each anchored tensor → w⁰ and its stiffness, both of the tensor's shape.
        """
        ...


class L2SP:
    """L2-SP: pulls copied parameters to the source's values.

        penalty = α/2 · Σ_copied ‖w − w⁰‖²

    with w⁰ the source's values and α = ``strength``. Frozen parameters and buffers do not count.
    Li, Grandvalet & Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks". Deviation: the paper also pulls new parameters to zero (β = 0.01); here a new head is
    not damped.

    Args:
        reference: state-dict name → source value, e.g. ``TransferPlan.values``; names without
            a parameter (buffers) are passed over.
        strength: α ≥ 0.
    """

    def __init__(self, reference: Mapping[str, Tensor], *, strength: float) -> None:
        _refuse_negative(strength)
        self._reference = {name: tensor.detach().clone() for name, tensor in reference.items()}
        self._strength = strength

    def penalty(self, model: nn.Module) -> Tensor:
        """See the class; 0 where no anchored parameter is trainable.

        Args:
            model: the network that is being trained.

        Returns:
            The penalty as a scalar with gradient.

        Raises:
            TransferError: the model has none of the reference's parameters, or another shape.
        """
        anchored = _trainable(model, self._reference)
        total = _zero(model)
        for name, parameter in anchored.items():
            reference = self._reference[name].to(parameter.device)
            total = total + self._strength / 2 * (parameter - reference).square().sum()
        return total

    def springs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Stiffness is α everywhere.

        Returns:
            As :meth:`Anchor.springs` says.
        """
        return {
            name: (value, torch.full_like(value, self._strength)) for name, value in self._reference.items()
        }


class EWC:
    """Elastic weight consolidation: a pull to the source, weighted by what mattered there.

        penalty = λ/2 · Σ_i F_i (w_i − w⁰_i)²

    with F the diagonal Fisher information on the source task (:func:`fisher_diagonal`) and
    λ = ``strength``. Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural
    networks" (PNAS).

    Args:
        reference: state-dict name → source value w⁰.
        fisher: name → F, same shapes; parameters without an entry are not anchored.
        strength: λ ≥ 0.
    """

    def __init__(
        self, reference: Mapping[str, Tensor], fisher: Mapping[str, Tensor], *, strength: float
    ) -> None:
        _refuse_negative(strength)
        missing = [name for name in fisher if name not in reference]
        if missing:
            raise TransferError(f"EWC has Fisher information but no source value for {listing(missing)}")
        self._reference = {name: reference[name].detach().clone() for name in fisher}
        self._fisher = {name: tensor.detach().clone() for name, tensor in fisher.items()}
        self._strength = strength

    def penalty(self, model: nn.Module) -> Tensor:
        """See the class; 0 where no anchored parameter is trainable.

        Args:
            model: the network that is being trained.

        Returns:
            The penalty as a scalar with gradient.

        Raises:
            TransferError: the model has none of the reference's parameters, or another shape.
        """
        anchored = _trainable(model, self._reference)
        total = _zero(model)
        for name, parameter in anchored.items():
            moved = parameter - self._reference[name].to(parameter.device)
            fisher = self._fisher[name].to(parameter.device)
            total = total + self._strength / 2 * (fisher * moved.square()).sum()
        return total

    def springs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Stiffness is λ F.

        Returns:
            As :meth:`Anchor.springs` says.
        """
        return {
            name: (self._reference[name], self._strength * fisher) for name, fisher in self._fisher.items()
        }


def fisher_diagonal(
    log_probabilities: Callable[[], Tensor], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The diagonal of the Fisher information, estimated on N samples.

        F_i = 1/N · Σ_n (∂ log p(a_n | s_n) / ∂w_i)²

    The actions (labels) must be sampled from the model itself; taking those of a data set gives
    the "empirical Fisher", another quantity (Kunstner et al. 2019).

    Args:
        log_probabilities: returns ``log_probability[n]`` with gradient, one entry per sample.
        parameters: name → parameter, e.g. ``dict(model.named_parameters())``.

    Returns:
        Name → F in the parameter's shape, 0 for a parameter that the samples do not depend on.

    Raises:
        TransferError: the callable gives no vector, an empty one, or one without gradient; a
            parameter is frozen.
    """
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    if frozen:
        raise TransferError(f"the Fisher information of frozen parameters is undefined: {listing(frozen)}")
    values = log_probabilities()
    if values.ndim != 1 or not len(values) or not values.requires_grad:
        raise TransferError(
            "log_probabilities must return a non-empty vector with gradient, one entry per sample; "
            f"it returned shape {shape_text(values.shape)}"
        )
    fisher = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
    for value in values:
        gradients = torch.autograd.grad(
            value, list(parameters.values()), retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                fisher[name] += gradient.square() / len(values)
    return fisher


def _trainable(model: nn.Module, reference: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """The model's trainable parameters with a reference value."""
    parameters = dict(model.named_parameters())
    known = [name for name in reference if name in parameters]
    if not known:
        raise TransferError(f"the model has none of the anchored parameters {listing(list(reference))}")
    for name in known:
        if parameters[name].shape != reference[name].shape:
            raise TransferError(
                f"{name} is anchored to shape {shape_text(reference[name].shape)}, "
                f"but has {shape_text(parameters[name].shape)}"
            )
    return {name: p for name, p in parameters.items() if p.requires_grad and name in reference}


def _zero(model: nn.Module) -> Tensor:
    first = next(model.parameters())
    return torch.zeros((), dtype=first.dtype, device=first.device)


def _refuse_negative(strength: float) -> None:
    if not 0 <= strength < float("inf"):
        raise TransferError(f"strength of an anchor is {strength}; it must be a number ≥ 0")
