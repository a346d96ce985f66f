"""Labelled sentences of two domains."""

import csv
from pathlib import Path

import numpy as np

GOOD = ("good", "great", "fine", "lovely", "superb", "neat")
BAD = ("bad", "poor", "awful", "dull", "broken", "weak")
THINGS = {
    "films": ("film", "actor", "plot", "scene"),
    "phones": ("phone", "screen", "battery", "cable"),
}


def sentences(domain: str, count: int = 40, seed: int = 0) -> list[tuple[str, str]]:
    """As many different sentences of each class: two adjectives of one kind about two things."""
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    for name, adjectives in (("bad", BAD), ("good", GOOD)):
        before = len(found)
        while len(found) - before < count:
            things, words = (rng.permutation(each) for each in (THINGS[domain], adjectives))
            very = "very " if rng.random() < 0.5 else ""
            found[f"the {things[0]} is {very}{words[0]} and the {things[1]} is {words[1]}"] = name
    return list(found.items())


def save_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return path
