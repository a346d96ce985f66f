"""Pictures of what a classifier does: the confusion matrix, and what every kind draws others with."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rl_transfer.errors import MissingExtraError
from rl_transfer.supervised.predictions import Predictions

Picture = NDArray[np.uint8]
"""RGB image [height, width, 3]."""

INK, PAPER, FAINT = (20, 20, 20), (255, 255, 255), (150, 150, 150)
RIGHT, WRONG = (20, 120, 60), (190, 40, 30)
SHADE = np.array([30, 80, 160])


def confusion_matrix(predictions: Predictions, classes: Sequence[str]) -> Picture:
    """Rows: true classes; columns: predicted ones; shade: share of the row; numbers where they fit.

    Args:
        predictions: on the test part.
        classes: names in the order of the labels.

    Returns:
        RGB [height, width, 3].
    """
    table = predictions.confusion(len(classes))
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    cell = int(np.clip(640 // len(classes), 6, 64))
    font = text_font(max(8, min(13, cell - 4)))
    names = [short_name(name) for name in classes]
    margin = 28 + max(round(font.getlength(name)) for name in names)
    side = cell * len(classes)
    sheet = Image.new("RGB", (margin + side + 10, margin + side + 10), PAPER)
    draw = ImageDraw.Draw(sheet)
    for (row, column), share in np.ndenumerate(shares):
        colour = tuple(int(value) for value in 255 - (255 - SHADE) * share)
        left, top = margin + column * cell, margin + row * cell
        draw.rectangle((left, top, left + cell - 1, top + cell - 1), colour)
        if cell >= 20 and table[row, column]:
            ink = PAPER if share > 0.5 else INK
            draw.text((left + cell / 2, top + cell / 2), str(table[row, column]), ink, font, anchor="mm")
    if cell >= 8:
        for index, name in enumerate(names):
            middle = margin + index * cell + cell / 2
            draw.text((margin - 6, middle), name, INK, font, anchor="rm")
            _upright(sheet, name, (middle, margin - 4), font)
    draw.text((4, 4), f"true ↓  predicted →  accuracy {predictions.accuracy:.3f}", INK, text_font(12))
    return np.asarray(sheet)


def save_png(picture: Picture, path: Path) -> None:
    """Write a picture.

    Args:
        picture: RGB [height, width, 3].
        path: of the PNG file; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def text_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships.

    Args:
        size: in pixels.
    """
    return ImageFont.truetype(str(fonts_folder() / "DejaVuSans.ttf"), size)


def short_name(name: str, limit: int = 14) -> str:
    """A class name that fits a picture.

    Args:
        name: of any length.
        limit: characters that are kept.
    """
    return name if len(name) <= limit else name[: limit - 1] + "…"


def fonts_folder() -> Path:
    """Matplotlib's folder of TrueType fonts; matplotlib is not imported.

    Returns:
        The folder.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the fonts come with matplotlib, which is not installed")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def _upright(sheet: Image.Image, text: str, end: tuple[float, float], font: ImageFont.FreeTypeFont) -> None:
    """Text that runs upwards and ends at the bottom at ``end``."""
    width, height = round(font.getlength(text)) + 2, round(font.size) + 4
    strip = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(strip).text((0, height / 2), text, INK, font, anchor="lm")
    turned = strip.rotate(90, expand=True)
    sheet.paste(turned, (round(end[0] - height / 2), round(end[1] - width)))
