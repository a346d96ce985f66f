"""Pictures of what a classifier does: a grid of predictions with confidences, a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rl_transfer.image.data.glyphs import fonts_folder
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.predictions import Predictions

Picture = NDArray[np.uint8]
"""RGB image [height, width, 3]."""

INK, PAPER, FAINT = (20, 20, 20), (255, 255, 255), (150, 150, 150)
RIGHT, WRONG = (20, 120, 60), (190, 40, 30)
SHADE = np.array([30, 80, 160])
COLUMNS, ROWS, CELL = 8, 4, 112


def prediction_grid(images: LabelledSet, predictions: Predictions, classes: Sequence[str]) -> Picture:
    """Images with the predicted class, its probability and, where it is wrong, the true class.

    Half of the grid shows mistakes, the surest first; the rest shows the surest correct answers
    spread evenly over the test part.

    Args:
        images: the test part.
        predictions: on all of it, in its order.
        classes: names in the order of the labels.

    Returns:
        RGB [height, width, 3].
    """
    chosen = _chosen(predictions)
    rows = max(1, -(-len(chosen) // COLUMNS))
    label = 34
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * (CELL + label)), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = _font(12)
    for place, index in enumerate(chosen):
        left, top = place % COLUMNS * CELL, place // COLUMNS * (CELL + label)
        picture = images.load(int(index)).convert("RGB")
        side = CELL - 12
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        sheet.paste(picture.resize(size, Image.Resampling.NEAREST), (left + 6, top + 6))
        guess, truth = int(predictions.predicted[index]), int(predictions.labels[index])
        confidence = float(predictions.probabilities[index, guess])
        colour = RIGHT if guess == truth else WRONG
        draw.text((left + 6, top + CELL - 2), f"{_short(classes[guess])} {confidence:.0%}", colour, font)
        if guess != truth:
            draw.text((left + 6, top + CELL + 13), f"is {_short(classes[truth])}", FAINT, font)
    return np.asarray(sheet)


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
    font = _font(max(8, min(13, cell - 4)))
    names = [_short(name) for name in classes]
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
    draw.text((4, 4), f"true ↓  predicted →  accuracy {predictions.accuracy:.3f}", INK, _font(12))
    return np.asarray(sheet)


def save_png(picture: Picture, path: Path) -> None:
    """Write a picture.

    Args:
        picture: RGB [height, width, 3].
        path: of the PNG file; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def _chosen(predictions: Predictions) -> list[int]:
    """Indices of the images to show: mistakes by confidence, then correct ones."""
    sure = predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    right = np.flatnonzero(predictions.predicted == predictions.labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    places = COLUMNS * ROWS
    mistakes = wrong[: places - min(len(right), places // 2)]
    spread = np.linspace(0, len(right) - 1, min(len(right), places - len(mistakes))).astype(int)
    return [*mistakes.tolist(), *right[spread].tolist()]


def _upright(sheet: Image.Image, text: str, end: tuple[float, float], font: ImageFont.FreeTypeFont) -> None:
    """Text that runs upwards and ends at the bottom at ``end``."""
    width, height = round(font.getlength(text)) + 2, round(font.size) + 4
    strip = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(strip).text((0, height / 2), text, INK, font, anchor="lm")
    turned = strip.rotate(90, expand=True)
    sheet.paste(turned, (round(end[0] - height / 2), round(end[1] - width)))


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(fonts_folder() / "DejaVuSans.ttf"), size)


def _short(name: str, limit: int = 14) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
