"""The linear probe reaches the optimum of its loss, and caching is refused where it would lie."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from torch import nn
from torchvision.models import get_model

from rl_transfer import core
from rl_transfer.image.backbones import classifier_of
from rl_transfer.image.heads import find_head
from rl_transfer.image.parts import image_parts
from rl_transfer.image.preprocessing import plain
from rl_transfer.image.resnet import SmallResNet
from rl_transfer.supervised.features import Penultimate, why_not_cached
from rl_transfer.supervised.probe import fit_probe, probe_features


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = rng.normal(size=(count, 5)) + 1.2 * np.eye(3, 5)[labels]
    features[:, 4] = 7.0  # a constant feature must not divide by zero
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("inverse_l2", [0.1, 1.0, 10.0])
def test_the_probe_is_the_optimum_of_regularised_logistic_regression(inverse_l2: float) -> None:
    features, labels = blobs(90, 0)
    probe = fit_probe(features, labels, 3, inverse_l2)
    assert probe.converged
    x = ((features.double() - probe.mean) / probe.scale).numpy()
    is_class = np.eye(3)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        """inverse_l2 times the summed cross-entropy, and half the squared weights; biases cost nothing."""
        weight, bias = flat[:15].reshape(3, 5), flat[15:]
        logits = x @ weight.T + bias
        value = inverse_l2 * (logsumexp(logits, axis=1) - (logits * is_class).sum(axis=1)).sum()
        error = inverse_l2 * (softmax(logits, axis=1) - is_class)
        slope = np.concatenate([(error.T @ x + weight).ravel(), error.sum(axis=0)])
        return float(value + 0.5 * (weight**2).sum()), slope

    optimum = minimize(loss, np.zeros(18), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    assert probe.weight.numpy() == pytest.approx(optimum[:15].reshape(3, 5), abs=2e-3)
    answers = (x @ optimum[:15].reshape(3, 5).T + optimum[15:]).argmax(axis=1)
    assert probe.accuracy(features, labels) == (answers == labels.numpy()).mean()


def test_the_probe_does_not_depend_on_the_scale_of_a_feature() -> None:
    features, labels = blobs(60, 1)
    scaled = features * torch.tensor([1.0, 100.0, 0.01, 1.0, 1.0])
    one, other = fit_probe(features, labels, 3), fit_probe(scaled, labels, 3)
    assert one.weight.numpy() == pytest.approx(other.weight.numpy(), abs=1e-3)


def test_the_record_of_a_probe() -> None:
    record = probe_features(blobs(90, 0), blobs(60, 1), 3)
    assert record.converged is True
    assert record.features == 5
    assert 1 / 3 < record.accuracy <= record.train_accuracy + 0.2


def frozen(model: nn.Module, shape: tuple[int, int, int], norm: str = "frozen") -> str | None:
    head = find_head(model, shape)
    parts = image_parts(model, head)
    core.freeze(model, parts, ("trunk",), norm=norm)  # type: ignore[arg-type]
    torch.manual_seed(0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reason = why_not_cached(classifier_of(model, head, plain(1, 8)), torch.rand(4, *shape))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    return reason


def test_when_features_may_be_cached() -> None:
    assert frozen(SmallResNet(3, width=4), (1, 8, 8)) is None
    # Dropout stands before MobileNet's head; held in evaluation mode with the trunk, it is no obstacle.
    assert frozen(get_model("mobilenet_v2", width_mult=0.25), (3, 32, 32)) is None


def test_when_features_may_not_be_cached() -> None:
    reason = frozen(SmallResNet(3, width=4), (1, 8, 8), norm="adapt")
    assert reason is not None
    assert "follow the data" in reason
    assert frozen(get_model("squeezenet1_1"), (3, 64, 64)) == "the head is not the network's last operation"
    model = SmallResNet(3, width=4)
    head = find_head(model, (1, 8, 8))
    trainable = classifier_of(model, head, plain(1, 8))
    assert why_not_cached(trainable, torch.rand(2, 1, 8, 8)) == "part of the trunk is trained"


def test_features_are_what_enters_the_head() -> None:
    model = SmallResNet(3, width=4).eval()
    images = torch.rand(2, 1, 8, 8)
    found = Penultimate(model, "head").features(images)
    assert torch.equal(found, model.flatten(model.pool(model.stages(model.stem(images)))))
    assert not found.requires_grad
    assert not model.head._forward_pre_hooks
