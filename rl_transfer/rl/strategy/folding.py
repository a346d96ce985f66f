"""Linear maps in front of and behind a policy, folded exactly into the layers that they meet.

A layer W z + w that reads z = A x + a is the layer (WA) x + (Wa + w); a head whose outputs go through
B y + c is the head (BW) h + (Bw + c). Nothing is added to the network, so that bundles, exports, both
engines and training afterwards know nothing of it. Products are formed in ``float64``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rl_transfer.core import Layer, PartMap
from rl_transfer.core.alignment import Matrix
from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.normalization import EPSILON, Normalizer
from rl_transfer.rl.policies.traits import names_with, traits_of
from rl_transfer.rl.strategy.readers import Reader, action_count, selector
from rl_transfer.wording import in_words


def folded_readers(
    readers: Sequence[Reader], source: Policy, matrix: Matrix, offset: Matrix
) -> dict[str, Tensor]:
    """What the layers that read observations become behind a map of these.

    Args:
        readers: of the target's policy; those that read nothing of the source's are left out by the caller.
        source: whose layers are folded.
        matrix: ``float64[source observation, target observation]``.
        offset: ``float64[source observation]``.

    Returns:
        Tensor of the target → its value, as the source's dtype has it.

    Raises:
        TransferError: a layer has no bias, which would hold the offset.
    """
    found: dict[str, Tensor] = {}
    for reader in readers:
        weight, bias = _weight_and_bias(reader.layer, source.parts)
        w = source.state[weight].detach().double()
        front, behind = w[:, : reader.source_features], w[:, reader.source_features :]
        mine = _named(reader.layer)
        new = torch.cat([front @ torch.from_numpy(matrix), behind], dim=1)
        found[mine["weight"]] = new.to(source.state[weight].dtype)
        shift = front @ torch.from_numpy(offset)
        if bias is not None:
            found[mine["bias"]] = (source.state[bias].detach().double() + shift).to(source.state[bias].dtype)
        elif bool(shift.abs().max() > 0):
            raise TransferError(
                f"{selector(reader.layer)} reads observations and has no bias to fold an offset into",
                key="strategy.align",
            )
    return found


def ordered_actions(policy: Policy, parts: PartMap, order: Sequence[int]) -> dict[str, Tensor]:
    """The head for discrete actions in another order.

    Args:
        policy: the source.
        parts: of the target's policy.
        order: per action of the target the source's.

    Returns:
        Tensor of the target → its value.
    """
    head, theirs = parts["action_head"].layers[-1], policy.parts["action_head"].layers[-1]
    count = action_count(policy.parts) // len(order)
    rows = [block * len(order) + each for block in range(count) for each in order]
    names = dict(zip(sorted(head.tensors), sorted(theirs.tensors), strict=True))
    return {mine: policy.state[their].detach()[rows].clone() for mine, their in names.items()}


def mapped_actions(policy: Policy, parts: PartMap, matrix: Matrix, offset: Matrix) -> dict[str, Tensor]:
    """The head and deviations of a Gaussian policy for linearly mapped actions.

    The means are mapped exactly. The deviations are those of each mapped action by itself, the square root of
    the diagonal of BΣBᵀ: a diagonal Gaussian has no correlations, which a map that mixes actions would make.

    Args:
        policy: the source, with a Gaussian whose means nothing squashes.
        parts: of the target's policy.
        matrix: B, ``float64[action, action]``, source to target.
        offset: c.

    Returns:
        Tensor of the target → its value.

    Raises:
        TransferError: the head's outputs are not such means.
    """
    traits = traits_of(policy.algorithm.name)
    if traits.off_policy or bool(getattr(policy.algorithm, "use_sde", False)):
        works = in_words(names_with(lambda each: not each.off_policy))
        raise TransferError(
            f"actions: linear folds into means that nothing squashes, those of {works} without gSDE; "
            f"the source is a {policy.algorithm.name} policy. Leave actions out",
            key="strategy.align.actions",
        )
    head, theirs = parts["action_head"].layers[-1], policy.parts["action_head"].layers[-1]
    weight, bias = _weight_and_bias(theirs, policy.parts)
    b = torch.from_numpy(matrix)
    w = policy.state[weight].detach()
    found = {_named(head)["weight"]: (b @ w.double()).to(w.dtype)}
    if bias is not None:
        old = policy.state[bias].detach()
        found[_named(head)["bias"]] = (b @ old.double() + torch.from_numpy(offset)).to(old.dtype)
    for mine, their in zip(parts["log_std"].tensor_names, policy.parts["log_std"].tensor_names, strict=True):
        log_std = policy.state[their].detach()
        variance = (b**2) @ torch.exp(2 * log_std.double())
        found[mine] = (variance.log() / 2).to(log_std.dtype)
    return found


def through_statistics(
    matrix: Matrix, offset: Matrix, theirs: Normalizer, mine: Normalizer
) -> tuple[Matrix, Matrix]:
    """A map of observations as one of normalised observations.

        z_s = (A(σ_t z_t + μ_t) + a − μ_s) / σ_s

    Exact but where statistics clip: the source clipped its own normalised entries, here the target's are.

    Args:
        matrix: A, ``float64[source observation, target observation]``.
        offset: a.
        theirs: the source's statistics.
        mine: the target's.
    """
    deviations = [np.sqrt(each.var[""].ravel() + EPSILON) for each in (theirs, mine)]
    means = [each.mean[""].ravel() for each in (theirs, mine)]
    scaled = matrix * deviations[1] / deviations[0][:, None]
    return scaled, (matrix @ means[1] + offset - means[0]) / deviations[0]


def _named(layer: Layer) -> Mapping[str, str]:
    """``weight`` and ``bias`` of a layer → their names."""
    return {name.rpartition(".")[2]: name for name in layer.tensors}


def _weight_and_bias(layer: Layer, parts: PartMap) -> tuple[str, str | None]:
    named = _named(parts[layer.part].layers[layer.index])
    return named["weight"], named.get("bias")
