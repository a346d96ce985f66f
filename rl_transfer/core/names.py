"""Foreign state dicts: tensors renamed by an explicit map."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rl_transfer.core._sorting import longest_prefix
from rl_transfer.errors import TransferError
from rl_transfer.wording import did_you_mean, listing


def rename_tensors(
    state: Mapping[str, Tensor], renames: Mapping[str, str], *, key: str | None = None
) -> dict[str, Tensor]:
    """The state under the names that the target uses.

    >>> state = dict.fromkeys(["module.body.weight", "module.fc.weight"], Tensor([0.0]))
    >>> list(rename_tensors(state, {"module": "", "module.fc": "head"}))
    ['body.weight', 'head.weight']

    Args:
        state: name → tensor; the tensors are not copied.
        renames: old name or dotted prefix → new one. The longest match decides and each name is
            renamed once. ``{"module": ""}`` strips ``module.``, ``{"": "trunk"}`` puts ``trunk.``
            before every name that nothing else matches. Other names stay.
        key: config path of ``renames``, for errors.

    Returns:
        New name → the same tensor, in the order of ``state``.

    Raises:
        TransferError: an entry that matches no tensor, two tensors with one new name, a tensor
            left without a name.
    """
    renamed: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    used: set[str] = set()
    for name, tensor in state.items():
        old = longest_prefix(name, renames)
        new = name if old is None else _replace(name, old, renames[old])
        if old is not None:
            used.add(old)
        if not new or new in renamed:
            clash = f"both {origin[new]} and {name} become {new!r}" if new else f"{name} gets no name"
            raise TransferError(f"the name map is ambiguous: {clash}", key=key)
        renamed[new] = tensor
        origin[new] = name
    idle = [old for old in renames if old not in used]
    if idle:
        raise TransferError(
            f"the name map renames {listing([repr(old) for old in idle])}, which the source does not have. "
            f"Its tensors: {listing(list(state))}.{did_you_mean(idle[0], state)}",
            key=key,
        )
    return renamed


def _replace(name: str, old: str, new: str) -> str:
    rest = name.removeprefix(old).removeprefix(".")
    return ".".join(filter(None, (new, rest)))
