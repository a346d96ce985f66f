"""PixelCatch: balls, paddle, wind, shades of grey and specks."""

from __future__ import annotations

from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter, register_parameter

PIXEL_CATCH = "PixelCatch-v0"
_FILE = "rl_transfer_envs/physics/pixels/equations.py"


def _parameter(
    name: str, unit: str, default: float, bounds: tuple[float, float], summary: str, kind: str = "integer"
) -> Parameter:
    return attribute_parameter(
        name,
        unit=unit,
        default=default,
        bounds=bounds,
        source=f"{_FILE}: {name}",
        summary=summary,
        kind=kind,
    )


PARAMETERS = (
    _parameter("balls", "balls", 10, (1, 50), "balls in an episode"),
    _parameter("ball_size", "pixels", 4, (1, 12), "height and width of a ball"),
    _parameter("ball_speed", "pixels/step", 3.0, (0.5, 12.0), "how fast a ball falls", "number"),
    _parameter("wind", "pixels/step", 0.0, (-2.0, 2.0), "how fast a ball drifts to the right", "number"),
    _parameter("paddle_width", "pixels", 8, (2, 24), "width of the paddle"),
    _parameter("paddle_height", "pixels", 2, (1, 8), "height of the paddle; the ball is caught higher up"),
    _parameter("paddle_speed", "pixels/step", 3.0, (0.5, 12.0), "how far one action moves it", "number"),
    _parameter("ball_shade", "grey level", 255, (0, 255), "shade of the ball"),
    _parameter("paddle_shade", "grey level", 160, (0, 255), "shade of the paddle"),
    _parameter("background_shade", "grey level", 0, (0, 255), "shade of everything else"),
    _parameter("specks", "pixels", 0, (0, 400), "background pixels of random shade, drawn every episode"),
)

register_parameter(PIXEL_CATCH, *PARAMETERS)
