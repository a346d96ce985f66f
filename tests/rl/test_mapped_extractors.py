"""Input maps where a user's own features extractor reads the observations in several places."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import load_policy
from support.algorithms import ALGORITHMS, run_of
from support.rl import played as played_with

ORDER = (2, 0, 3, 1)


class OnePlace(BaseFeaturesExtractor):
    """Reads everything in its first layer; batch statistics follow it."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space, 6)
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        features: Tensor = self.layers(observations)
        return features


class TwoPlaces(BaseFeaturesExtractor):
    """Two layers beside each other."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space, 8)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, observations: Tensor) -> Tensor:
        return torch.cat([torch.relu(self.first(observations)), torch.tanh(self.second(observations))], 1)


class PassedOn(BaseFeaturesExtractor):
    """A layer, and the observations themselves beside it."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space, 8)
        self.layer = nn.Linear(4, 4)

    def forward(self, observations: Tensor) -> Tensor:
        return torch.cat([self.layer(observations), observations], 1)


def played(
    folder: Path, extractor: str, source: RunFolder | None = None, name: str = "PPO", **verbs: Any
) -> RunFolder:
    permuted = {"id": "CartPole-v1", "perturb": ({"observation_permutation": list(ORDER)},)}
    kwargs = {**ALGORITHMS[name]["policy_kwargs"], "features_extractor": f"{__name__}:{extractor}"}
    algorithm = {"name": name, **ALGORITHMS[name], "policy_kwargs": kwargs}
    strategy = {"copy": ("all",), "train": False, **verbs} if source else {}
    where = {"env": permuted} if "input_maps" in verbs else {}
    return played_with(folder, source, **run_of(name, algorithm=algorithm, strategy=strategy, **where))


@pytest.mark.parametrize("name", ["PPO", "DQN"])
@pytest.mark.parametrize("extractor", ["TwoPlaces", "PassedOn"])
def test_a_map_that_reaches_one_of_several_places_is_refused(
    extractor: str, name: str, tmp_path: Path
) -> None:
    source = played(tmp_path / "source", extractor, name=name)
    with pytest.raises(TransferError, match="reads them in more places than its first layer") as caught:
        played(tmp_path, extractor, source, name, input_maps={"observations": ORDER})
    assert caught.value.key == "strategy.input_maps"
    verbs: dict[str, Any] = {"reset": ("features",), "input_maps": {"policy_trunk.0": tuple(range(8))}}
    assert played(tmp_path, extractor, source, name, **verbs).record()


@pytest.mark.parametrize(
    ("extractor", "maps"),
    [
        ("OnePlace", {"observations": ORDER}),
        ("OnePlace", {"observations": (2, None, 3, 1)}),
        ("TwoPlaces", {"features.0": ORDER, "features.1": ORDER}),
    ],
)
def test_a_map_of_every_place_passes(extractor: str, maps: dict[str, Any], tmp_path: Path) -> None:
    source = played(tmp_path / "source", extractor)
    run = played(tmp_path, extractor, source, input_maps=maps)
    seen = torch.rand(30, 4, generator=torch.Generator().manual_seed(0))
    seen[:, [index for index in range(4) if index not in next(iter(maps.values()))]] = 0
    before, after = (load_policy(each.bundle).module for each in (source, run))
    wanted, found = (
        module.predict(states.numpy(), deterministic=True)
        for module, states in ((before, seen), (after, seen[:, list(ORDER)]))
    )
    assert before.features_extractor(seen).std() > 0
    assert (wanted[0] == found[0]).all()
    features = (before.features_extractor(seen), after.features_extractor(seen[:, list(ORDER)]))
    assert torch.allclose(*features, atol=1e-5)
