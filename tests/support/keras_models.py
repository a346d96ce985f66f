"""Small models of Keras, and what loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rl_transfer.image.room import IMAGES
from rl_transfer.supervised.classifier import Network


def tiny(keras: Any, **changes: Any) -> Any:
    """A model of three classes on grey pictures of 8 × 8."""
    layers, seeded = keras.layers, keras.initializers.GlorotUniform(seed=1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="first", kernel_initializer=seeded, **changes),
            layers.BatchNormalization(name="norm", axis=1 if "data_format" in changes else -1),
            layers.ReLU(name="act"),
            layers.Dropout(0.5, name="drop"),
            layers.Conv2D(6, 1, strides=2, name="second", kernel_initializer=seeded),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, activation="softmax", name="answer"),
        ],
        name="tiny",
    )


def pictures(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def loaded(address: Path | str) -> Network:
    found = IMAGES.find_pretrained(f"keras:{address}")
    assert found is not None
    return found


def statistics(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.named_buffers()}


def adapted(keras: Any, folder: Path) -> tuple[Path, Any]:
    """A saved Functional model with adapted statistics on its input."""
    layers, inputs = keras.layers, keras.Input((8, 8, 1))
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(pictures(20).permute(0, 2, 3, 1).numpy() * 50 + 100)
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="first")(normalization(inputs)))
    made = keras.Model(inputs, layers.Dense(3, name="answer")(features))
    made.save(folder / "normalising.keras")
    return folder / "normalising.keras", made
