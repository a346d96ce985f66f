"""Strategies that change the architecture: low-rank adapters and progressive columns."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rl_transfer import core
from rl_transfer.core import PartMap, isolated
from rl_transfer.errors import TransferError
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.policies.bundle import widen
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import StrategyVerbs


def optimizers(model: BaseAlgorithm) -> list[torch.optim.Optimizer]:
    """The optimizers of the policy's networks, in a fixed order.

    Args:
        model: any SB3 model.

    Returns:
        The policy's own, or the actor's and the critic's; the one of a learned entropy coefficient
        is none of them.
    """
    owners = (model.policy, *model.policy.children())
    found = (getattr(owner, "optimizer", None) for owner in owners)
    return [each for each in found if isinstance(each, torch.optim.Optimizer)]


def add_low_rank(
    model: BaseAlgorithm,
    algorithm: str,
    parts: PartMap,
    strategy: StrategyVerbs,
    selectors: Iterable[str],
    seed: int,
) -> core.LowRankAdapters | None:
    """Put low-rank adapters on frozen layers and give them to the optimizers that own the layers.

    Args:
        model: frozen as the strategy says.
        algorithm: SB3's name of it.
        parts: of ``model.policy``.
        strategy: the verbs; rank and scale of the adapters.
        selectors: the layers, groups written out.
        seed: of the adapters' initial values.

    Returns:
        The adapters; None where the strategy has none.

    Raises:
        TransferError: a selector names layers that are not frozen, or that no optimizer trains.
    """
    if strategy.low_rank is None:
        return None
    adapters = core.add_low_rank(
        model.policy,
        parts,
        selectors,
        rank=strategy.low_rank.rank,
        alpha=strategy.low_rank.alpha,
        generator=torch.Generator().manual_seed(seed),
        key="strategy.low_rank.parts",
    )
    _give_to_optimizers(model, adapters)
    _twin_targets(model, algorithm, {path.split(".")[0] for path in adapters.paths})
    return adapters


def _give_to_optimizers(model: BaseAlgorithm, adapters: core.LowRankAdapters) -> None:
    """Let the optimizer of each adapted layer train the adapter instead."""
    owners = {id(p): each for each in optimizers(model) for g in each.param_groups for p in g["params"]}
    for path in adapters.paths:
        parametrization = model.policy.get_submodule(f"{path}.parametrizations.weight")
        owner = owners.get(id(parametrization.original))
        if owner is None:
            raise TransferError(
                f"no optimizer trains {path}; low-rank adapters belong on trained networks, not on targets",
                key="strategy.low_rank.parts",
            )
        owner.param_groups[0]["params"] += [
            each for name, each in parametrization.named_parameters() if name != "original"
        ]


def merge(model: BaseAlgorithm, algorithm: str, adapters: core.LowRankAdapters) -> None:
    """Fold the adapters into the weights, in target networks as well.

    Args:
        model: as :func:`add_low_rank` left it and training changed it.
        algorithm: SB3's name of it.
        adapters: what :func:`add_low_rank` gave.
    """
    targets = {target: model.policy.get_submodule(target) for _, target in traits_of(algorithm).targets}
    effective = {name: _effective_state(target) for name, target in targets.items()}
    tops = {path.split(".")[0] for path in adapters.paths}
    adapters.merge()
    _twin_targets(model, algorithm, tops)
    for name, state in effective.items():
        getattr(model.policy, name).load_state_dict(state)


def _effective_state(network: nn.Module) -> dict[str, Tensor]:
    """A network's state dict with its adapters folded in; the network is not changed."""
    state = {
        name: value.detach().clone()
        for name, value in network.state_dict().items()
        if ".parametrizations." not in name
    }
    for path, module in network.named_modules():
        if parametrize.is_parametrized(module, "weight") and isinstance(module.weight, Tensor):
            state[f"{path}.weight"] = module.weight.detach().clone()
    return state


def _twin_targets(model: BaseAlgorithm, algorithm: str, tops: Iterable[str]) -> None:
    """Make target networks copies of the online networks ``tops``; SB3 averages them pairwise."""
    for online, target in traits_of(algorithm).targets:
        if online in tops:
            # The copies share torch's generated classes: adapters are never removed from one alone.
            twin = copy.deepcopy(getattr(model.policy, online))
            setattr(model.policy, target, twin.requires_grad_(False).eval())
    sb3_seams.renew_network_aliases(model)


def add_progressive(model: BaseAlgorithm, algorithm: str, seed: int) -> list[str]:
    """Put a new column beside the copied trunks of an on-policy MlpPolicy.

    Args:
        model: its tensors copied.
        algorithm: SB3's name of it.
        seed: of the new columns' initial values.

    Returns:
        The state-dict names of the frozen source columns.

    Raises:
        TransferError: the policy has no sequential trunks of Linear layers.
    """
    extractor = getattr(model.policy, "mlp_extractor", None)
    if traits_of(algorithm).off_policy or extractor is None:
        raise TransferError(
            f"progressive columns need the sequential trunks of an on-policy MlpPolicy; {algorithm} has none",
            key="strategy.progressive",
        )
    with isolated(seed):
        widen(model.policy)
    optimizer = model.policy.optimizer
    optimizer.param_groups[0]["params"] = [p for p in model.policy.parameters() if p.requires_grad]
    return [name for name in model.policy.state_dict() if ".source." in name]
