"""The texts that a classifier is surest of and wrong about, as a picture for report and TensorBoard."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.figures import FAINT, INK, PAPER, RIGHT, WRONG, Picture, short_name, text_font
from rl_transfer.supervised.predictions import Predictions

ROWS, WIDTH, LINE, COLUMNS, LINES = 16, 900, 18, 96, 3


def most_wrong(texts: LabelledSet, predictions: Predictions, classes: Sequence[str]) -> Picture:
    """The mistakes by confidence, each with its probability and the true class; at most 16.

    Args:
        texts: the test part.
        predictions: on all of it, in its order.
        classes: names in the order of the labels.

    Returns:
        RGB [height, width, 3].
    """
    sure = predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:ROWS]
    entry = (LINES + 1) * LINE + 10
    sheet = Image.new("RGB", (WIDTH, 30 + entry * max(len(chosen), 1)), PAPER)
    draw, font = ImageDraw.Draw(sheet), text_font(13)
    total = len(predictions.labels)
    colour = WRONG if len(wrong) else RIGHT
    draw.text((8, 6), f"{len(wrong)} of {total} wrong; the surest of them first", colour, font)
    for place, index in enumerate(chosen):
        top = 30 + place * entry
        guess, truth = int(predictions.predicted[index]), int(predictions.labels[index])
        said = f"{short_name(classes[guess], 30)} {sure[index]:.0%}"
        draw.text((8, top), said, WRONG, font)
        draw.text((16 + font.getlength(said), top), f"is {short_name(classes[truth], 30)}", FAINT, font)
        lines = textwrap.wrap(str(texts.load(int(index))), COLUMNS, max_lines=LINES, placeholder=" …")
        for number, line in enumerate(lines, 1):
            draw.text((8, top + number * LINE), line, INK, font)
    return np.asarray(sheet)
