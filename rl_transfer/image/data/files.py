"""One image file: decoded, upright and in 8 bits, or why it cannot be had."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from rl_transfer.errors import ConfigError
from rl_transfer.image.preprocessing import eight_bits


@dataclass(frozen=True)
class FileLoader:
    """Decodes image files."""

    paths: tuple[Path, ...]

    def __call__(self, index: int) -> Image.Image:
        """Image ``index``, turned as its EXIF orientation says.

        Raises:
            ConfigError: the file cannot be decoded, or its values have no known range.
        """
        path = self.paths[index]
        try:
            return _decoded(path)
        except Exception as error:  # noqa: BLE001 - decoders of foreign bytes raise anything
            raise ConfigError(
                f"{path} is no image that can be used ({reason(error, path)}); repair or remove it, "
                "or leave such files out with data.skip_corrupt: true",
                key="data",
            ) from None


def damage(path: Path, decode: bool) -> str | None:
    """What is wrong with an image file.

    Args:
        path: of the file.
        decode: whether to decode it; otherwise its header and check sums are read.

    Returns:
        The reason; None if nothing was found.
    """
    try:
        if decode:
            _decoded(path)
        else:
            _refuse_no_file(path)
            with _quiet(), Image.open(path) as image:
                image.verify()
    except Exception as error:  # noqa: BLE001 - decoders of foreign bytes raise anything
        return reason(error, path)
    return None


def reason(error: Exception, path: Path) -> str:
    """An error of a decoder in words.

    Args:
        error: as it was raised.
        path: of the file, which the words need not repeat.
    """
    if isinstance(error, Image.DecompressionBombError):
        return "it has more pixels than a picture needs; scale it down"
    if isinstance(error, FileNotFoundError):
        return "a link that leads nowhere" if path.is_symlink() else "no such file"
    return str(error).replace(str(path), path.name) or type(error).__name__


def _decoded(path: Path) -> Image.Image:
    _refuse_no_file(path)
    with _quiet(), Image.open(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(as_sixteen_bits(image))
        return eight_bits(upright.convert("RGBA") if upright.mode == "P" else upright.copy())


def as_sixteen_bits(image: Image.Image) -> Image.Image:
    """A grey PNG of 16 bits in the mode that says so; older versions of Pillow open it as 32-bit integers.

    Args:
        image: as it was opened.
    """
    if image.format != "PNG" or image.mode != "I":
        return image
    return Image.fromarray(np.array(image).astype(np.uint16))


def _refuse_no_file(path: Path) -> None:
    """Opening a pipe or a device would wait for ever."""
    if path.exists() and not path.is_file():
        raise ValueError("a folder" if path.is_dir() else "neither a file nor a folder")


def _quiet() -> warnings.catch_warnings[None]:
    """Without Pillow's warnings of large or untidy files: those that can be decoded are used."""
    return warnings.catch_warnings(action="ignore")
