"""Base and perturbed environment side by side, under the same seed and actions, as a picture."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rl_transfer_envs.aliases import Action, Given, Image, Simulator, Space, Spec
from rl_transfer_envs.build.make import make
from rl_transfer_envs.build.specification import canonical
from rl_transfer_envs.errors import EnvError, InvalidSpecError, MissingExtraError
from rl_transfer_envs.registry.probes import ProbePolicy, probes, registered_probes
from rl_transfer_envs.show.label import label

WIDTH = 300
"""Of one frame, in pixels."""
COLUMNS = 4
"""Moments shown on a ``.png`` sheet."""


def preview(
    spec: Given,
    path: str | Path,
    *,
    steps: int = 100,
    seed: int = 0,
    policy: str | None = None,
) -> Path:
    """Play base and perturbed environment with the same actions and draw both.

    Args:
        spec: specification of the perturbed environment.
        path: ``.gif`` for an animation, ``.png`` for a sheet (base above, perturbed below).
        steps: environment steps to play; an environment that ends earlier keeps its last frame.
        seed: seed of both resets.
        policy: name of a probe policy; by default one registered for the environment, else random.

    Returns:
        ``path``.

    Raises:
        InvalidSpecError: another file ending, or an unknown policy.
        MissingExtraError: Pillow, or the environment's renderer, is not installed.
        EnvError: the environment cannot be drawn here.
    """
    path = Path(path)
    if path.suffix.lower() not in (".gif", ".png"):
        raise InvalidSpecError(f"{path.name}: a preview is a .gif or a .png.")
    place = path.absolute()  # an environment of somebody's may change the current folder
    full = canonical(spec)
    frames = _play(full, steps, seed, policy)
    labels = [full["id"], label(full)]
    images = load_pillow()
    pairs = [
        _pair(images, base, other, [f"step {step}: {label}" for label in labels])
        for step, (base, other) in enumerate(zip(*frames, strict=True))
    ]
    _save(images, pairs, place)
    return path


def _save(images: Any, pairs: list[Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".gif":
        frames = [pair.quantize(64) for pair in pairs]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, loop=0, optimize=True)
    else:
        moments = np.linspace(0, len(pairs) - 1, COLUMNS).round().astype(int)
        _sheet(images, [pairs[i] for i in moments]).save(path)


def _play(spec: Spec, steps: int, seed: int, policy: str | None) -> tuple[list[Image], list[Image]]:
    """``steps + 1`` frames of base and perturbed; an ended episode keeps its last frame.

    The policy sees the base environment, and the perturbed one once the base has ended.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        specs = [{**spec, "perturb": []}, spec]
        players = [_Player(make(one, "rgb_array"), seed) for one in specs]
        space = players[1].env.action_space
        act = _policy(spec, space, policy).start(space, seed)
        for step in range(steps):
            running = next((player for player in players if not player.over), players[0])
            action = act(running.seen, step)
            for player in players:
                player.step(action)
        for player in players:  # not after an error: closing a renderer that failed to start fails too
            player.env.close()
    return players[0].frames, players[1].frames


class _Player:
    """One environment, its frames, and what a policy sees of it."""

    def __init__(self, env: Simulator, seed: int) -> None:
        self.env, self.over = env, False
        observation, info = env.reset(seed=seed)
        self.seen = info.get("base_observation", observation)
        self.frames = [drawn(env)]

    def step(self, action: Action) -> None:
        """Play one action, unless the episode is over."""
        if not self.over:
            observation, _, terminated, truncated, info = self.env.step(action)
            self.seen = info.get("base_observation", observation)
            self.over = bool(terminated or truncated)
        self.frames.append(self.frames[-1] if self.over else drawn(self.env))


def _policy(spec: Spec, space: Space, name: str | None) -> ProbePolicy:
    known = {probe.name: probe for probe in probes(spec["id"], space)}
    if name is None:
        return next(iter(registered_probes(spec["id"]).values()), known["random"])
    if name not in known:
        raise InvalidSpecError(f"{spec['id']} has no probe policy {name!r}; it has {', '.join(known)}.")
    return known[name]


def drawn(env: Simulator) -> Image:
    """What an environment looks like now.

    Args:
        env: built with ``rgb_array`` frames, and reset.

    Returns:
        Array [height, width, 3] of whole numbers from 0 to 255.

    Raises:
        EnvError: it cannot be drawn on this machine, or draws something else.
    """
    try:
        frame = env.render()
    except Exception as error:  # renderers raise whatever their backend raises
        raise EnvError(
            f"the environment cannot be drawn on this machine: {error}. Without a display, MuJoCo needs "
            "MUJOCO_GL=egl or MUJOCO_GL=osmesa, and pygame SDL_VIDEODRIVER=dummy."
        ) from error
    if not isinstance(frame, np.ndarray):
        raise EnvError(f"the environment draws no rgb_array frames (render gave {type(frame).__name__}).")
    return frame.astype(np.uint8)


def load_pillow() -> Any:
    """The library that resizes, labels and writes pictures.

    Returns:
        Pillow's ``Image`` and ``ImageDraw``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtraError("previews need Pillow: pip install pillow.") from error
    return Image, ImageDraw


def _pair(pillow: Any, base: Image, other: Image, labels: list[str]) -> Any:
    """Base beside perturbed, each under its label."""
    image, draw = pillow
    frames = [image.fromarray(frame) for frame in (base, other)]
    frames = [f.resize((WIDTH, round(f.height * WIDTH / f.width)), image.Resampling.LANCZOS) for f in frames]
    canvas = image.new("RGB", (2 * WIDTH + 4, max(f.height for f in frames) + 18), "white")
    pen = draw.Draw(canvas)
    for i, (frame, text) in enumerate(zip(frames, labels, strict=True)):
        canvas.paste(frame, (i * (WIDTH + 4), 18))
        pen.text((i * (WIDTH + 4) + 4, 3), text[: WIDTH // 6], fill="black")
    return canvas


def _sheet(pillow: Any, pairs: list[Any]) -> Any:
    """Moments from left to right, base above perturbed."""
    image, _ = pillow
    half = pairs[0].width // 2
    sheet = image.new("RGB", (half * len(pairs), 2 * pairs[0].height), "white")
    for i, pair in enumerate(pairs):
        for row in (0, 1):
            part = pair.crop((row * half + 2 * row, 0, (row + 1) * half, pair.height))
            sheet.paste(part, (i * half, row * pair.height))
    return sheet.quantize(64)
