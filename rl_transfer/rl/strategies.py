"""From a spec's strategy (data) to the core's strategy (verbs)."""

from __future__ import annotations

from rl_transfer import core
from rl_transfer.spec import StrategyVerbs


def core_strategy(verbs: StrategyVerbs, name: str = "strategy", key: str | None = None) -> core.Strategy:
    """The core's form of a strategy.

    Args:
        verbs: as parsed from YAML.
        name: what messages call it.
        key: where it stands in the user's config, for error messages.
    """
    return core.Strategy(name=name, copy=verbs.copy_, freeze=verbs.freeze, key=key)
