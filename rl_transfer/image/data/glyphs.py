"""Rendered characters: labelled images that need no download, in as many font faces as matplotlib ships.

The same glyphs can be labelled by character or by face: two tasks on the same images, one of which
throws away what the other needs. DejaVu and STIX fonts come with matplotlib under free licences
(see LICENSE_DEJAVU and LICENSE_STIX beside them), Computer Modern under the SIL Open Font Licence.
"""

from __future__ import annotations

import string
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rl_transfer.errors import ConfigError
from rl_transfer.image.data.arrays import ArrayLoader
from rl_transfer.seeding import generator
from rl_transfer.spec.image_data import GlyphData
from rl_transfer.supervised.data import LabelledSet, OpenedData
from rl_transfer.supervised.figures import fonts_folder
from rl_transfer.wording import did_you_mean

CHARACTERS = {
    "letters": string.ascii_uppercase + string.ascii_lowercase,
    "uppercase": string.ascii_uppercase,
    "lowercase": string.ascii_lowercase,
    "digits": string.digits,
}
OVERSAMPLING = 4
"""Glyphs are drawn this much larger, turned, and scaled down: smooth edges at any angle."""
MAX_TURN, MAX_SHIFT, MAX_SCALE = 8.0, 0.06, 0.1
"""At jitter 1: degrees; share of the image; share of the glyph's size."""


def open_glyphs(data: GlyphData, key: str = "data") -> OpenedData:
    """Render ``variants`` images of every character in every face; white on black.

    Image (character, face, variant) looks the same in every data set that contains it.

    Args:
        data: characters, faces, size and jitter.
        key: config path of it, for errors.

    Returns:
        Grey images of ``size`` × ``size`` pixels, labelled by character or by face.

    Raises:
        ConfigError: an unknown face, or a face without one of the characters.
    """
    characters = CHARACTERS.get(data.characters, data.characters)
    faces = [find_face(name, f"{key}.faces.{index}") for index, name in enumerate(data.faces)]
    _refuse_missing_glyphs(characters, faces, key)
    images = [
        image
        for face in faces
        for character in characters
        for image in _variants(str(face), character, data.variants, data.size, data.scale, data.jitter)
    ]
    shape = (len(faces), len(characters), data.variants)
    face_of, character_of, _ = np.indices(shape).reshape(3, -1)
    labels = character_of if data.label == "character" else face_of
    names = tuple(characters) if data.label == "character" else tuple(face.stem for face in faces)
    return OpenedData(names, LabelledSet(labels.astype(np.int64), ArrayLoader(np.stack(images))))


def find_face(name: str, key: str | None = None) -> Path:
    """The font file of a face: by its name in matplotlib's folder, or by path.

    Args:
        name: ``cmr10``, or a path that ends in ``.ttf`` or ``.otf``.
        key: config path of it, for errors.

    Returns:
        A file that exists.

    Raises:
        ConfigError: there is none.
    """
    if "/" in name or name.endswith((".ttf", ".otf")):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"the font file {path} does not exist", key=key)
        return path
    known = {path.stem: path for path in sorted(fonts_folder().glob("*.ttf"))}
    if name not in known:
        raise ConfigError(
            f"matplotlib ships no font face {name!r}.{did_you_mean(name, known)} It ships {', '.join(known)}",
            key=key,
        )
    return known[name]


def _refuse_missing_glyphs(characters: str, faces: list[Path], key: str) -> None:
    if len(set(characters)) < len(characters):
        raise ConfigError(f"characters repeats some of {characters!r}", key=f"{key}.characters")
    for index, face in enumerate(faces):
        font = _font(str(face), 32)
        absent = font.getmask(chr(0x10FFFF)).getbbox(), bytes(font.getmask(chr(0x10FFFF)))
        for character in characters:
            mask = font.getmask(character)
            if mask.getbbox() is None or (mask.getbbox(), bytes(mask)) == absent:
                raise ConfigError(
                    f"the font face {face.stem} has no glyph for {character!r}", key=f"{key}.faces.{index}"
                )


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=8192)
def _variants(
    path: str, character: str, count: int, size: int, scale: float, jitter: float
) -> tuple[NDArray[np.uint8], ...]:
    """Images [size, size] of one character in one face."""
    large = size * OVERSAMPLING
    images = []
    for variant in range(count):
        rng = generator(0, "glyph", Path(path).stem, character, variant)
        turn, right, down, growth = rng.uniform(-jitter, jitter, size=4)
        canvas = Image.new("L", (large, large))
        font = _font(path, max(1, round(large * scale * (1 + MAX_SCALE * growth))))
        centre = (large * (0.5 + MAX_SHIFT * right), large * (0.5 + MAX_SHIFT * down))
        ImageDraw.Draw(canvas).text(centre, character, fill=255, font=font, anchor="mm")
        canvas = canvas.rotate(MAX_TURN * turn, resample=Image.Resampling.BILINEAR)
        images.append(np.array(canvas.resize((size, size), Image.Resampling.BOX)))
    return tuple(images)
