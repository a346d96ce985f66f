"""Portraits of environments: what is perturbed in words, base and perturbed one as small pictures.

    python -m rl_transfer_envs.show.portrait < specifications.json > portraits.json

A renderer may print, end the process, or wait for a display: whoever does not want that starts this module
as a process of its own.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import warnings
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from rl_transfer_envs.aliases import Given, Image, Spec
from rl_transfer_envs.build.make import make
from rl_transfer_envs.build.specification import canonical
from rl_transfer_envs.errors import EnvError
from rl_transfer_envs.show.preview import drawn, load_pillow
from rl_transfer_envs.show.told import told

MOST_BYTES = 15_000
"""Of one picture."""
MOST_PICTURES = 24
"""Environments that are drawn; of the others there are words."""
_TOO_MANY = f"not drawn: {MOST_PICTURES} environments are drawn at most"
_SIZES = ((300, 64), (300, 24), (220, 16), (150, 16), (100, 8))
"""Width and colours to try, until a picture is small enough."""


class PortraitData(TypedDict):
    """A portrait as plain data."""

    env: str
    """Id of what is perturbed."""
    words: list[str]
    """A phrase per perturbation."""
    base: str | None
    """PNG file of the unperturbed environment in Base64."""
    picture: str | None
    """PNG file of the perturbed one; there where ``base`` is."""
    note: str
    """Why there is no picture; empty where there is one, or nothing to draw."""


def portraits(specs: Mapping[str, Given], seed: int = 0) -> dict[str, PortraitData]:
    """A portrait of each environment.

    Args:
        specs: name → specification or id.
        seed: of the resets that are drawn.

    Returns:
        Name → portrait, in the order given.
    """
    found: dict[str, PortraitData] = {}
    plain: dict[str, Image] = {}
    count = 0
    for name, given in specs.items():
        entry: PortraitData = {"env": "", "words": [], "base": None, "picture": None, "note": ""}
        found[name] = entry
        try:
            spec = canonical(given)
            entry["env"], entry["words"] = spec["id"], told(spec)
        except EnvError as error:
            entry["note"] = f"nothing is known of it: {error}"
            continue
        if spec["perturb"]:
            count += 1
            drawing = _pictures(spec, seed, plain) if count <= MOST_PICTURES else (None, None, _TOO_MANY)
            entry["base"], entry["picture"], entry["note"] = drawing
    return found


def _pictures(spec: Spec, seed: int, plain: dict[str, Image]) -> tuple[str | None, str | None, str]:
    """Both pictures, or why there are none; ``plain`` remembers what bases look like."""
    base: Spec = {**spec, "perturb": []}
    key = json.dumps(base, sort_keys=True)
    try:
        if key not in plain:
            plain[key] = _first_frame(base, seed)
        frame = _first_frame(spec, seed)
        if np.array_equal(plain[key], frame):
            return None, None, "base and target look alike: what differs cannot be seen"
        return _png(plain[key]), _png(frame), ""
    except Exception as error:  # noqa: BLE001 - whatever a renderer or an environment of somebody's raises
        reason = str(error).partition("\n")[0] or type(error).__name__
        return None, None, f"no picture: {reason}"


def _first_frame(spec: Spec, seed: int) -> Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = make(spec, "rgb_array")
        env.reset(seed=seed)
        frame = drawn(env)
        env.close()
    return frame


def _png(frame: Image) -> str:
    image, _ = load_pillow()
    whole = image.fromarray(frame)
    for width, colours in _SIZES:
        size = min(width, whole.width)
        file = io.BytesIO()
        small = whole.resize(
            (size, max(1, round(whole.height * size / whole.width))), image.Resampling.LANCZOS
        )
        small.quantize(colours).save(file, "png", optimize=True)
        if file.tell() <= MOST_BYTES:
            return base64.b64encode(file.getvalue()).decode()
    raise EnvError(f"the picture is larger than {MOST_BYTES:,} bytes")


def main() -> None:
    """Read specifications from standard input, write portraits to standard output."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a renderer prints is no part of the answer
    for name, value in (("SDL_VIDEODRIVER", "dummy"), ("SDL_AUDIODRIVER", "dummy")):
        os.environ.setdefault(name, value)
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    with answer:
        json.dump(portraits(json.load(sys.stdin)), answer)


if __name__ == "__main__":
    main()
