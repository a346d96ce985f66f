"""A grid of images with what a classifier says of them, and its confidences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.figures import FAINT, PAPER, RIGHT, WRONG, Picture, short_name, text_font
from rl_transfer.supervised.predictions import Predictions

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
    font = text_font(12)
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
        draw.text((left + 6, top + CELL - 2), f"{short_name(classes[guess])} {confidence:.0%}", colour, font)
        if guess != truth:
            draw.text((left + 6, top + CELL + 13), f"is {short_name(classes[truth])}", FAINT, font)
    return np.asarray(sheet)


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
