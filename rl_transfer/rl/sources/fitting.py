"""Foreign tensors put into the network that was deduced for them: all of them, exactly, or an error."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rl_transfer.core import rename_tensors
from rl_transfer.core._text import shape_text
from rl_transfer.core.digest import dtype_name
from rl_transfer.errors import BundleError, RLTransferError, TransferError
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.bundle import build_policy
from rl_transfer.spec import Algorithm
from rl_transfer.wording import did_you_mean, listing

UNUSED = "unused"
"""A name map sends tensors that are to be left out below this prefix."""


def rename(state: Mapping[str, Tensor], name_map: Mapping[str, str] | None, where: str) -> dict[str, Tensor]:
    """The state under SB3's names, without what the map declares ``unused``.

    Args:
        state: the file's tensors under the file's names.
        name_map: the file's names or dotted prefixes → SB3's.
        where: the file's name, for errors.

    Returns:
        SB3's name → tensor.

    Raises:
        TransferError: an entry of the map matches nothing, or two tensors get one name.
    """
    try:
        renamed = rename_tensors(state, name_map or {})
    except TransferError as error:
        raise TransferError(f"{where}: {error.message}", key=error.key) from None
    return {
        name: tensor
        for name, tensor in renamed.items()
        if name != UNUSED and not name.startswith(f"{UNUSED}.")
    }


def fit(
    state: Mapping[str, Tensor],
    algorithm: Algorithm,
    spaces: tuple[Space, Space],
    where: str,
) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict of the network that the config describes, filled with the foreign tensors.

    Args:
        state: tensors by SB3's names.
        algorithm: describes the network.
        spaces: of observations and actions.
        where: the file's name, for errors.

    Returns:
        The state dict with SB3's aliases, and the conversions that were made, in words.

    Raises:
        BundleError: the network cannot be built, or a tensor is missing, left over or of another shape.
    """
    try:
        module = build_policy(algorithm, *spaces)
    except RLTransferError:
        raise
    except (AssertionError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(f"{where}: a {algorithm.name} policy cannot be built for it: {error}") from None
    target = module.state_dict()
    _refuse_strangers(state, target, where)
    converted: dict[str, int] = {}
    for name, slot in target.items():
        tensor = _shaped(state[name], slot, f"{where}: {name}")
        if tensor.dtype != slot.dtype:
            change = f"from {dtype_name(tensor)} to {dtype_name(slot)}"
            converted[change] = converted.get(change, 0) + 1
        with torch.no_grad():
            slot.copy_(tensor)
    _refuse_contradictions(state, target, where)
    return target, [f"{count} tensor(s) were converted {change}" for change, count in converted.items()]


def _refuse_strangers(state: Mapping[str, Tensor], target: Mapping[str, Tensor], where: str) -> None:
    left_over = [name for name in state if name not in target]
    missing = [name for name in target if name not in state]
    if left_over:
        raise BundleError(
            f"{where}: the network has no place for {listing(left_over)}."
            f"{did_you_mean(left_over[0], missing or target)} Rename them in the name map, or send them to "
            f"{UNUSED!r}" + (f". Still missing: {listing(missing)}" if missing else "")
        )
    if missing:
        raise BundleError(
            f"{where}: the network needs {listing(missing)}, which the file does not have. "
            f"It has: {listing(list(state))}"
        )


def _shaped(tensor: Tensor, slot: Tensor, where: str) -> Tensor:
    """The tensor in the slot's shape; only leading dimensions of size 1 may be dropped."""
    shape = tensor.shape
    while len(shape) > slot.ndim and shape[0] == 1:
        shape = shape[1:]
    if shape != slot.shape:
        raise BundleError(f"{where} has shape {shape_text(tensor.shape)}, expected {shape_text(slot.shape)}")
    return tensor.reshape(shape)


def _refuse_contradictions(state: Mapping[str, Tensor], target: Mapping[str, Tensor], where: str) -> None:
    """Names of one tensor (SB3's aliases of a shared features extractor) must hold the same numbers."""
    wrong = [
        name
        for name, slot in target.items()
        if not torch.equal(_shaped(state[name], slot, where).to(slot.dtype), slot)
    ]
    if wrong:
        raise BundleError(f"{where}: {listing(wrong)} should be shared by two networks, but they differ")
