"""The catalogue as rows: which environments, parameters and wrappers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym

from rl_transfer_envs.build.families import family
from rl_transfer_envs.errors import UnknownEnvironmentError, did_you_mean
from rl_transfer_envs.registry.parameters import Parameter, environments, own_parameters, parameters
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.values.quantity import Quantity


def list_rows() -> list[dict[str, Any]]:
    """One row per environment with registered parameters.

    Returns:
        Rows with the keys ``environment``, ``family``, ``extra``, ``installed``, ``parameters`` (names).
    """
    rows = []
    for env_id in environments():
        its = family(env_id)
        rows.append(
            {
                "environment": env_id,
                "family": its.name,
                "extra": its.extra,
                "installed": its.installed,
                "parameters": list(own_parameters(env_id)),
            }
        )
    return rows


def wrapper_rows() -> list[dict[str, str]]:
    """One row per argument of every wrapper; keys as in :func:`show_rows`."""
    return [
        _row(wrapper.name if i == 0 else f"{wrapper.name}.{quantity.name}", wrapper.side, quantity)
        | {"summary": f"{wrapper.summary}: {quantity.summary}" if i == 0 else quantity.summary}
        for wrapper in perturbations().values()
        for i, quantity in enumerate(wrapper.arguments)
    ]


def show_rows(env_id: str) -> list[dict[str, str]]:
    """What can be perturbed on an environment: its physics, then the wrappers.

    Args:
        env_id: Gymnasium id.

    Returns:
        Rows with the keys ``name``, ``kind`` (``physics``, ``observation``, ``action``,
        ``reward``, ``time``), ``unit``, ``default``, ``bounds``, ``source``, ``summary``.

    Raises:
        UnknownEnvironmentError: no such environment.
    """
    if env_id not in gym.registry:
        known = [*environments(), *gym.registry]
        raise UnknownEnvironmentError(
            f"no environment {env_id!r} is registered.{did_you_mean(env_id, known)}", key="id"
        )
    return [_row(name, "physics", p) for name, p in parameters(env_id).items()] + wrapper_rows()


def counts() -> dict[str, int]:
    """How many environments, physics parameters (per environment and in all), and wrappers.

    Returns:
        What is counted → how many.
    """
    per_environment = [own_parameters(env_id) for env_id in environments()]
    return {
        "environments": len(per_environment),
        "environment parameters": sum(map(len, per_environment)),
        "distinct parameter names": len({name for known in per_environment for name in known}),
        "wrappers": len(perturbations()),
        "wrapper arguments": sum(len(wrapper.arguments) for wrapper in perturbations().values()),
    }


def format_default(quantity: Quantity) -> str:
    """The default as text.

    Args:
        quantity: a parameter, or an argument of a wrapper.

    Returns:
        The text.
    """
    default = quantity.default
    if isinstance(default, float):
        return f"{default:.6g}"
    if default is None:
        return "per element" if isinstance(quantity, Parameter) and quantity.keyed else "as registered"
    return str(default) or "none"


def format_bounds(quantity: Quantity) -> str:
    """The bounds as text: numbers, factors of the default, or the words allowed.

    Args:
        quantity: a parameter, or an argument of a wrapper.

    Returns:
        The text.
    """
    if quantity.words:
        return ", ".join(quantity.words) + (", list" if quantity.list_allowed else "")
    if quantity.kind == "flag":
        return "true, false"
    if quantity.kind in ("name", "names"):
        return f"any {quantity.kind}"
    if quantity.factors is not None:
        return "x{:g} to x{:g}".format(*quantity.factors)
    if quantity.bounds is None:
        return "any finite number"
    return "{:.6g} to {:.6g}".format(*quantity.bounds)


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows as a Markdown table.

    Args:
        rows: column → cell.
        columns: those to show, in this order.

    Returns:
        The table, without an end of line.

    >>> print(table([{"name": "length", "unit": "m"}], ("name", "unit")))
    | name | unit |
    |---|---|
    | length | m |
    """
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [str(row[column]).replace("|", "\\|") for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _row(name: str, kind: str, quantity: Quantity) -> dict[str, str]:
    return {
        "name": name,
        "kind": kind,
        "unit": quantity.unit,
        "default": format_default(quantity),
        "bounds": format_bounds(quantity),
        "source": quantity.source,
        "summary": quantity.summary,
    }
