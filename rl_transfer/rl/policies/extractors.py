"""Features extractors for small images, usable from a config by their import path."""

from __future__ import annotations

import gymnasium as gym
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl_transfer.errors import ConfigError

SMALLEST_SIDE = 12
"""Least height and width in pixels: 12 → 3 after the first convolution → 1 after the second."""


class SmallCNN(BaseFeaturesExtractor):
    """Two convolutions and one linear layer, for images from 12 × 12 pixels.

        Conv 16 channels 6×6 stride 3 → [BatchNorm] → ReLU → Conv 32 channels 3×3 stride 2
        → [BatchNorm] → ReLU → Linear → ReLU

    In a config::

        policy: CnnPolicy
        policy_kwargs:
          features_extractor: "rl_transfer.rl.policies.extractors:SmallCNN"
          features_extractor_kwargs: {batch_norm: true}

    With ``batch_norm`` (Ioffe & Szegedy 2015) SB3 collects rollouts with the running statistics and
    trains with those of the minibatch, so that PPO's first probability ratio is not 1; on small
    images it still learns (docs/pixels.md).

    Args:
        observation_space: images ``[channel, height, width]``; SB3 puts channels first and
            divides ``uint8`` by 255 before they come here.
        features_dim: number of features, the output being ``float32[batch, features_dim]``.
        batch_norm: whether each convolution is followed by batch normalisation.

    Raises:
        ConfigError: the observations are no images, or images smaller than 12 × 12.
    """

    def __init__(
        self, observation_space: gym.Space[object], features_dim: int = 64, batch_norm: bool = False
    ) -> None:
        if features_dim < 1:
            raise _refusal(
                f"features_dim is {features_dim}; expected at least 1", "features_extractor_kwargs"
            )
        channels, height, width = _image_shape(observation_space)
        super().__init__(observation_space, features_dim)
        self.cnn = nn.Sequential(
            *_convolution(channels, 16, 6, 3, batch_norm),
            *_convolution(16, 32, 3, 2, batch_norm),
            nn.Flatten(),
        )
        flat = 32 * _side(height) * _side(width)
        self.linear = nn.Sequential(nn.Linear(flat, features_dim), nn.ReLU())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """``float32[batch, channel, height, width]`` → ``float32[batch, features_dim]``."""
        features: torch.Tensor = self.linear(self.cnn(observations))
        return features


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, batch_norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=not batch_norm)
    return [convolution, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.ReLU()]


def _side(pixels: int) -> int:
    """Height or width after both convolutions."""
    return ((pixels - 6) // 3 + 1 - 3) // 2 + 1


def _image_shape(space: gym.Space[object]) -> tuple[int, int, int]:
    shape = space.shape if isinstance(space, spaces.Box) else None
    if shape is None or len(shape) != 3:
        raise _refusal(
            f"SmallCNN reads images [channel, height, width], but the observations are {space}; "
            "for vectors use policy: MlpPolicy without a features_extractor"
        )
    channels, height, width = shape
    if min(height, width) < SMALLEST_SIDE:
        raise _refusal(
            f"SmallCNN needs images of at least {SMALLEST_SIDE} × {SMALLEST_SIDE} pixels with the channels "
            f"first, not {channels} channels of {height} × {width}; use larger images or another extractor"
        )
    return channels, height, width


def _refusal(message: str, key: str = "features_extractor") -> ConfigError:
    return ConfigError(message, key=f"algorithm.policy_kwargs.{key}")
