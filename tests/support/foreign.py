"""Stable-Baselines3 models on environments that are only spaces, and their files as others save them."""

import base64
import copy
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_transfer.spec import Environment

ANYWHERE = Environment(id="Anywhere-v0")
BOX = spaces.Box(-1, 1, (5,))
DISCRETE = spaces.Discrete(3)
CONTINUOUS = spaces.Box(np.array([-2, -1], np.float32), np.array([1, 0.4], np.float32))
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
DICT = spaces.Dict({
    "wide": spaces.Box(np.array([-1, -2.5], np.float32), np.array([np.inf, 3], np.float32)),
    "image": IMAGE,
    "digit": spaces.Discrete(4),
})  # fmt: skip
ON_POLICY = ("PPO", "A2C", "TRPO")
Space = spaces.Space[Any]


class OnlySpaces(gym.Env[Any, Any]):
    """Observations are samples, actions do nothing."""

    def __init__(self, observation_space: Space, action_space: Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.5, False, False, {}


def sb3_class(name: str) -> type[BaseAlgorithm]:
    found: type[BaseAlgorithm] = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
    return found


def sb3_model(name: str, observations: Space = BOX, actions: Space = DISCRETE, **kwargs: Any) -> Any:
    """A model whose every parameter is drawn anew, target networks and biases too."""
    sizes = {"n_steps": 8} if name in ON_POLICY else {"buffer_size": 8}
    if name in ("PPO", "TRPO"):
        sizes["batch_size"] = 8
    dict_space = isinstance(observations, spaces.Dict)
    policy = "MultiInputPolicy" if dict_space else "CnnPolicy" if observations is IMAGE else "MlpPolicy"
    model = sb3_class(name)(
        policy,
        OnlySpaces(observations, actions),
        device="cpu",
        seed=3,
        **copy.deepcopy({**sizes, **kwargs}),  # SB3 writes into the policy_kwargs that it gets
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            scale = 2 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return model


def saved(model: BaseAlgorithm, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return path


def observe(space: Space, count: int = 40) -> Any:
    """A batch of seeded observations; images are broad stripes, so that CNNs tell them apart."""
    if isinstance(space, spaces.Dict):
        return {key: observe(each, count) for key, each in space.spaces.items()}
    space.seed(7)
    drawn = np.stack([space.sample() for _ in range(count)])
    if drawn.dtype == np.uint8:
        drawn[:] = drawn[:, :, :1, np.arange(drawn.shape[3]) // 9 * 9]
    return drawn


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object], **options: Any) -> Path:
    """Change the members of a zip in place."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def edit_data(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the JSON of an SB3 zip in place."""

    def edit(members: dict[str, bytes]) -> None:
        data = json.loads(members["data"])
        change(data)
        members["data"] = json.dumps(data, indent=4).encode()

    return rewrite(path, edit)


def edit_state(path: Path, change: Callable[[dict[str, Any]], Any], **options: Any) -> Path:
    """Change the tensors of an SB3 zip in place; ``options`` go to ``torch.save``."""

    def edit(members: dict[str, bytes]) -> None:
        state = torch.load(io.BytesIO(members["policy.pth"]), weights_only=True)
        members["policy.pth"] = torch_bytes(change(state) or state, **options)

    return rewrite(path, edit)


def torch_bytes(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def as_of_2020(path: Path) -> Path:
    """The zip as SB3 0.10 wrote it on Gym 0.17: other keys, other tensor names, torch's old format."""

    def old_space(entry: dict[str, Any]) -> dict[str, Any]:
        kind = entry[":type:"].split(".")[-1].rstrip("'>")
        pickled = f"cgym.spaces.{kind.lower()}\n{kind}\n.".encode()
        old = {
            ":type:": f"<class 'gym.spaces.{kind.lower()}.{kind}'>",
            ":serialized:": base64.b64encode(pickled).decode(),
            "shape": entry["_shape"],
            "dtype": entry["dtype"],
            "_np_random": "RandomState(MT19937)",
        }
        if kind == "Discrete":
            return {**old, "n": int(entry["n"])}
        return {**old, **{key: entry[key] for key in ("low", "high", "bounded_below", "bounded_above")}}

    def age_data(data: dict[str, Any]) -> None:
        for key in ("observation_space", "action_space"):
            data[key] = old_space(data[key])
        data["device"] = {
            ":type:": "<class 'torch.device'>",
            ":serialized:": "",
            "type": "cuda",
            "index": "0",
        }
        for key in ("_stats_window_size", "rollout_buffer_class", "rollout_buffer_kwargs"):
            data.pop(key, None)

    def age_members(members: dict[str, bytes]) -> None:
        del members["system_info.txt"]
        members["_stable_baselines3_version"] = b"0.10.0"
        members["tensors.pth"] = members.pop("pytorch_variables.pth")

    def age_state(state: dict[str, Any]) -> dict[str, Any]:
        return {
            name: each
            for name, each in state.items()
            if not name.startswith(("pi_features_", "vf_features_"))
        }

    edit_data(path, age_data)
    edit_state(path, age_state, _use_new_zipfile_serialization=False)
    return rewrite(path, age_members)


def normalized(observations: Space, actions: Space, **options: Any) -> Any:
    """A ``VecNormalize`` that has seen some observations."""
    with warnings.catch_warnings():
        env = VecNormalize(DummyVecEnv([lambda: OnlySpaces(observations, actions)] * 2), **options)
    observations.seed(11)
    env.reset()
    for _ in range(20):
        env.step(np.stack([actions.sample()] * 2))
    return env
