"""One policy measured; what counts as a success, and the rate with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from rl_transfer.analysis.success import share_interval
from rl_transfer.errors import ConfigError
from rl_transfer.frame import EvaluationRequest, Measured
from rl_transfer.spec.base import Json
from rl_transfer.sweep.dispatch import bundle_kind, room

CONFIDENCE = 0.95
"""Coverage of the interval."""


def read_success(said: str | None) -> float | str | None:
    """What ``--success`` names.

    >>> read_success("-150"), read_success("is_success")
    (-150.0, 'is_success')

    Args:
        said: the option's text.

    Returns:
        A least return, or the name of an entry of ``info``; None where the option is not given.

    Raises:
        ConfigError: it is empty, or no finite number.
    """
    if said is None:
        return None
    try:
        least = float(said)
    except ValueError:
        least = None
    if (least is not None and not math.isfinite(least)) or not said.strip():
        raise ConfigError(
            f"--success is a least return, such as 475, or an entry of info, such as is_success; got {said!r}"
        )
    return said if least is None else least


def measure_one(policy: str, request: EvaluationRequest) -> Measured:
    """Measure a policy or a classifier, of whatever kind it is.

    Args:
        policy: bundle, run folder, foreign file, or an address that the kind knows.
        request: on what.

    Returns:
        The numbers, the success rate among them where a rule is given, and a sentence that tells them.

    Raises:
        RLTransferError: it cannot be read, or measured on that.
    """
    measured = room(bundle_kind(policy)).evaluate(policy, request)
    return measured if request.success is None else _with_success_rate(measured, request.success)


def _with_success_rate(measured: Measured, rule: float | str) -> Measured:
    """What an evaluation found, with the rate of successful episodes and Wilson's interval.

    Episodes of one policy with seeds of their own are independent, so the interval is the plain one. It is
    about this policy; other seeds of training would give others.

    Args:
        measured: with ``successes``, one per episode.
        rule: what counted as a success.

    Returns:
        The same with ``success`` and a line of text.
    """
    said = cast("Sequence[bool]", measured.data["successes"])
    hits, episodes = sum(said), len(said)
    found = share_interval(hits, episodes, CONFIDENCE)
    what = f"info {rule!r}" if isinstance(rule, str) else f"return ≥ {rule:g}"
    text = (
        f"{measured.text}\nsuccess ({what}): {hits} of {episodes} episodes, rate {found.point:.3f}, "
        f"Wilson's {CONFIDENCE:.0%} interval [{found.low:.3f}, {found.high:.3f}] of this policy"
    )
    success: dict[str, Json] = {
        **({"info": rule} if isinstance(rule, str) else {"return": rule}),
        "hits": hits,
        "rate": found.point,
        "low": found.low,
        "high": found.high,
        "confidence": CONFIDENCE,
    }
    return replace(measured, data={**measured.data, "success": success}, text=text)
