"""A linear probe trained to convergence: what the features of a trunk are worth, whatever the head's rate.

A head trained by SGD at a small rate for few epochs may stop far from its optimum, and a frozen
trunk then looks worse than it is. The probe stands beside it: multinomial logistic regression on the
standardised features, solved by L-BFGS (Alain & Bengio 2017, "Understanding intermediate layers
using linear classifier probes"; Kornblith et al. 2019 use the same solver).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

TOLERANCE = 1e-5
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes:
        weight, bias: of the linear map on standardised features, float64 [classes, d] and [classes].
        mean, scale: of the training features, [d].
        iterations: of L-BFGS.
        gradient: largest absolute entry of the gradient at the end.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    iterations: int
    gradient: float

    @property
    def converged(self) -> bool:
        """Whether the gradient is as good as zero."""
        return self.gradient <= 10 * TOLERANCE

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """Share of the items that are told right.

        Args:
            features: [n, …], as for :func:`fit_probe`.
            labels: int64 [n].

        Returns:
            Between 0 and 1.
        """
        standardised = (_flat(features) - self.mean) / self.scale
        logits = standardised @ self.weight.T + self.bias
        return float((logits.argmax(dim=1) == labels).double().mean())


@dataclass(frozen=True)
class ProbeResult:
    """What a record says of a probe.

    Attributes:
        accuracy: on the test part.
        train_accuracy: on the items that it was fitted on.
        iterations: of L-BFGS.
        converged: whether the gradient was as good as zero at the end.
        features: number of inputs.
    """

    accuracy: float
    train_accuracy: float
    iterations: int
    converged: bool
    features: int


def fit_probe(features: Tensor, labels: Tensor, num_classes: int, inverse_l2: float = 1.0) -> LinearProbe:
    """Minimise the regularised cross-entropy.

        Σ_n −log softmax(W x_n + b)[y_n] + 1/(2·C) · ‖W‖²

    with x the standardised features (constant ones stay 0), C = ``inverse_l2``; the bias is free.
    The problem is convex, so the optimum does not depend on a start or a rate. It is
    scikit-learn's ``LogisticRegression(C=C)``.

    Args:
        features: [n, …]; feature maps are flattened.
        labels: int64 [n].
        num_classes: rows of W.
        inverse_l2: C > 0.

    Returns:
        The optimum, or where L-BFGS stopped.
    """
    x = _flat(features)
    mean, scale = x.mean(dim=0), x.std(dim=0, unbiased=False)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    x = (x - mean) / scale
    weight, bias, iterations, gradient = _minimise(x, labels, num_classes, inverse_l2)
    return LinearProbe(weight, bias, mean, scale, iterations, gradient)


def _minimise(
    x: Tensor, labels: Tensor, num_classes: int, inverse_l2: float
) -> tuple[Tensor, Tensor, int, float]:
    """Weight, bias, iterations and the largest entry of the gradient at the end."""
    weight = torch.zeros(num_classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        solver.zero_grad()
        loss = functional.cross_entropy(x @ weight.T + bias, labels, reduction="sum")
        loss = (loss + weight.square().sum() / (2 * inverse_l2)) / len(x)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        solver.step(objective)  # type: ignore[no-untyped-call]
        objective()
    gradients = [tensor.grad for tensor in (weight, bias) if tensor.grad is not None]
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    return weight.detach(), bias.detach(), int(solver.state[weight]["n_iter"]), largest


def probe_features(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], num_classes: int
) -> ProbeResult:
    """Fit a probe and measure it.

    Args:
        train: features [n, …] and labels int64 [n] to fit on.
        test: the same to measure on.
        num_classes: how many classes there are.

    Returns:
        Its accuracies, and whether it converged.
    """
    probe = fit_probe(*train, num_classes)
    return ProbeResult(
        accuracy=probe.accuracy(*test),
        train_accuracy=probe.accuracy(*train),
        iterations=probe.iterations,
        converged=probe.converged,
        features=int(_flat(train[0]).shape[1]),
    )


def _flat(features: Tensor) -> Tensor:
    """Features [n, d] in float64; maps [n, d, h, w] are averaged over space."""
    if features.ndim == 4:
        features = features.mean(dim=(2, 3))
    return features.flatten(1).double()
