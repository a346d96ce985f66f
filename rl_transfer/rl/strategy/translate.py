"""From a spec's strategy (data) to the core's strategy (verbs) for one SB3 policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.spec import StrategyVerbs

Value = TypeVar("Value")

POLICY = ("features", "policy_trunk", "action_head", "log_std")
"""What the action depends on; the selector ``policy`` stands for those with tensors."""


def expand(selectors: Iterable[str], parts: PartMap) -> tuple[str, ...]:
    """Selectors with the RL groups ``policy`` and ``critic`` written out.

    ``policy`` is everything that the action depends on, ``critic`` everything else that is trained.

    Args:
        selectors: as in a strategy: parts, roles, groups, layers of any of them.
        parts: of the policy that they speak of.

    Returns:
        Selectors that the core knows, in the same order.
    """
    filled = [part for part in parts if part.tensors]
    policy = [part.name for part in filled if part.name in POLICY]
    critic = [part.name for part in filled if part.name not in POLICY and part.role != "auxiliary"]
    groups = {"policy": policy, "critic": critic}
    found: list[str] = []
    for selector in selectors:
        name = selector.split("[")[0].split(".")[0]
        found += [selector.replace(name, part, 1) for part in groups[name]] if name in groups else [selector]
    return tuple(found)


def core_strategy(verbs: StrategyVerbs, parts: PartMap, key: str | None = None) -> core.Strategy:
    """The core's form of a strategy; ``maps.with_maps`` adds its maps.

    Args:
        verbs: as parsed from YAML.
        parts: of the target's policy.
        key: where it stands in the user's config, for error messages.

    Returns:
        The same strategy in the core's words, groups written out.

    Raises:
        TransferError: a schedule does not fit the parts.
    """
    reset = list(expand(verbs.reset, parts))
    if verbs.knobs.log_std == "reset" and parts["log_std"].tensors and "log_std" not in reset:
        reset.append("log_std")
    columns = [name for name in ("policy_trunk", "value_trunk") if name in parts.names and verbs.progressive]
    strategy = core.Strategy(
        name="",
        copy=expand(verbs.copy_, parts),
        reset=tuple(reset) if verbs.copy_ else (),
        reset_on_mismatch=expand(verbs.reset_on_mismatch, parts),
        input_fill=verbs.input_fill,
        freeze=(*expand(verbs.freeze, parts), *columns),
        norm=verbs.norm,
        thaw=_thaw(verbs, parts),
        learning_rates=_expand_keys(verbs.learning_rates, parts),
        key=key,
    )
    if verbs.critic_warm_up is not None:
        strategy = core.critic_warmup(parts, strategy, expand(["policy"], parts), share=verbs.critic_warm_up)
    return strategy


def _thaw(verbs: StrategyVerbs, parts: PartMap) -> tuple[core.ThawStep, ...]:
    if verbs.gradual is None:
        return tuple(core.ThawStep(step.at, expand(step.parts, parts)) for step in verbs.thaw)
    frozen = {layer.part for layer in parts.layers(expand(verbs.freeze, parts))}
    features = [part for part in parts.names if part.endswith("features") and part in frozen]
    others = [part for part in parts.names if part in frozen and part not in features]
    stages = [stage for stage in (features, others) if stage]
    return core.gradual_unfreezing(parts, stages, start=verbs.gradual.start, end=verbs.gradual.end)


def _expand_keys(mapping: Mapping[str, Value], parts: PartMap) -> dict[str, Value]:
    return {inner: value for outer, value in mapping.items() for inner in expand([outer], parts)}
