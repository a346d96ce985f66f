"""Images become what torchvision's presets and timm's transforms make of them, to the bit."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model_weights

from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image.backbones import default_preprocessing
from rl_transfer.image.preprocessing import ImagePreprocessing, of_preset, of_timm, plain, to_mode
from rl_transfer.spec.image_model import InputConfig, TorchvisionConfig
from support.image_networks import picture


@pytest.mark.parametrize("size", [(320, 240), (100, 333), (256, 256)])
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b3", "inception_v3"])
def test_a_torchvision_preset_is_followed_to_the_bit(name: str, size: tuple[int, int]) -> None:
    preset = get_model_weights(name).DEFAULT.transforms()
    assert torch.equal(of_preset(preset)(picture(*size)), preset(picture(*size)))


def test_the_metadata_of_the_default_weights_are_used_without_any_weights() -> None:
    config = TorchvisionConfig(name="torchvision", architecture="resnet18")
    found = default_preprocessing(config, torch.nn.Identity())
    assert (found.size, found.resize, found.channels) == (224, 256, 3)
    # A smaller input keeps the proportion of crop and resize: 256 / 224 · 112 = 128.
    assert found.overridden(InputConfig(size=112)).resize == 128


def test_timms_settings_are_read() -> None:
    config = {"input_size": (1, 224, 224), "crop_pct": 0.9, "mean": (0.5,), "std": (0.25,)}
    found = of_timm({**config, "interpolation": "bilinear"})
    # What is cropped to 224 is nine tenths of what was resized: 224 / 0.9 = 248.9, less the fraction.
    assert (found.channels, found.size, found.resize) == (1, 224, 248)
    assert (found.mean, found.std, found.interpolation) == ((0.5,), (0.25,), "bilinear")
    assert of_timm({**config, "interpolation": "random"}).interpolation == "bicubic"


def test_grey_images_are_repeated_and_colour_becomes_luminance() -> None:
    grey = picture(8, 8, "L")
    three = plain(3, 8)(grey)
    assert torch.equal(three[0], three[1])
    assert torch.equal(three[0], plain(1, 8)(grey)[0])
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    # ITU-R 601: 0.299 · 255 = 76; scaled to [−1, 1]: 76/255 · 2 − 1.
    assert plain(1, 8)(red)[0, 0, 0].item() == pytest.approx(76 / 255 * 2 - 1, abs=1e-6)


def test_sixteen_bit_images_are_scaled_not_clipped() -> None:
    image = Image.fromarray(np.full((2, 2), 256 * 100, dtype=np.uint16))
    assert to_mode(image, 1).getpixel((0, 0)) == 100


def test_pixels_undo_the_normalization() -> None:
    image = picture(8, 8)
    assert (plain(3, 8).pixels(plain(3, 8)(image)) == np.asarray(image)).all()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"input\.mean has 1 values, but the network takes 3 channel"):
        plain(3, 8).overridden(InputConfig(mean=(0.5,)))
    with pytest.raises(ConfigError, match="smaller than input"):
        plain(3, 8).overridden(InputConfig(size=32, resize=16))
    with pytest.raises(BundleError, match="preprocessing is damaged"):
        ImagePreprocessing.from_json({"size": 3})
