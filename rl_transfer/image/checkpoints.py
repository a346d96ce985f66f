"""Checkpoints: what is in the file, and which of its tensors are the network's; a head may be absent.

Wrappers put prefixes before the names of tensors:

    module.                      DataParallel
    backbone.                    DINO, detectors: a network inside another one
    module.encoder_q.            MoCo v1 and v2, beside the momentum encoder ``module.encoder_k.``
    module.base_encoder.         MoCo v3
    model., net.                 Lightning modules
"""

from __future__ import annotations

import argparse
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rl_transfer import bounded
from rl_transfer.core.limits import MOST_TENSOR_BYTES
from rl_transfer.core.stored import read_header
from rl_transfer.core.torch_files import Bounds, refuse_bombs, refuse_unmarked
from rl_transfer.errors import BundleError
from rl_transfer.image.heads import Head

NESTED = ("state_dict", "model", "model_state_dict", "teacher")
"""Keys under which training scripts put the state dict of a checkpoint; ``teacher``: what DINO keeps."""
CLASSES = ("classes", "class_names", "class_to_idx")
"""Keys under which they put the names of the classes, in the order of the outputs."""
MEANT = ("encoder_q.", "base_encoder.", "teacher.")
"""Endings of the prefix that is meant where a file holds several such networks, as the papers say."""


BOUNDS = Bounds(pickle_bytes=16 * 2**20, opcodes=2**19)
"""A file of 2,000 tensors with two moments for each takes a fifth of that."""

_SMALL_BYTES = 2**20

_DAMAGE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, SafetensorError,
    RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes:
        state: name → tensor on the CPU, without the prefix of ``DataParallel``.
        classes: names of the head's classes, where the file says them under ``classes``,
            ``class_names`` or ``class_to_idx``.
    """

    state: dict[str, Tensor]
    classes: tuple[str, ...] | None = None


def read_checkpoint(path: Path, key: str = "weights") -> Checkpoint:
    """Read a ``.safetensors`` or ``.pth`` file; nothing but tensors and plain data is ever built.

    Args:
        path: the file.
        key: config path that names it, for errors.

    Returns:
        The state dict, also where a training script put it beside other things.

    Raises:
        BundleError: the file is damaged, or holds something else than named tensors.
    """
    refuse_endless(path, key)
    try:
        if path.suffix == ".safetensors":
            return Checkpoint(load_file(path))
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore", category=UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise _unreadable(path, error, key) from None
    whole = content if isinstance(content, dict) else {}
    nested = next((whole[name] for name in NESTED if isinstance(whole.get(name), dict)), whole)
    state = {
        str(name).removeprefix("module."): value
        for name, value in nested.items()
        if isinstance(value, Tensor)
    }
    odd = [name for name, value in state.items() if _swells(value)]
    if odd:
        raise BundleError(f"{path} holds {odd[0][:80]!r}, which claims far more numbers than it has", key=key)
    if not state:
        raise BundleError(f"{path} holds no named tensors; expected a network's state dict", key=key)
    return Checkpoint(state, _named_classes(whole))


def refuse_endless(path: Path, key: str = "weights") -> None:
    """Refuse a weights file that is not what its header says, too large, or without end in memory.

    No tensor of it is read.

    Args:
        path: the file.
        key: config path that names it, for errors.

    Raises:
        BundleError: saying which.
    """
    try:
        size = bounded.regular_size(path)
        if size > MOST_TENSOR_BYTES:
            raise ValueError(f"it is larger than {MOST_TENSOR_BYTES >> 30} GiB")
        if path.suffix == ".safetensors":
            read_header(path)
            return
        with path.open("rb") as stream:
            refuse_unmarked(stream.read(16), path.name)
            stream.seek(0)
            refuse_bombs(stream, size, path.name, BOUNDS)
    except (BundleError, *_DAMAGE) as error:
        raise _unreadable(path, error, key) from None


def _swells(tensor: Tensor) -> bool:
    """Whether a tensor repeats few numbers to be a large one."""
    if tensor.layout != torch.strided:
        return False
    return tensor.numel() * tensor.element_size() > max(tensor.untyped_storage().nbytes(), _SMALL_BYTES)


def _unreadable(path: Path, error: Exception, key: str) -> BundleError:
    return BundleError(
        f"{path} cannot be read as tensors ({_without_advice(error)}). It is truncated, or holds "
        "code beside tensors; save the state dict alone (safetensors, or torch.save of it)",
        key=key,
    )


def _named_classes(content: Mapping[object, object]) -> tuple[str, ...] | None:
    for name in CLASSES:
        found = content.get(name)
        if isinstance(found, dict) and all(type(each) is int for each in found.values()):
            in_order = sorted(found, key=found.__getitem__)
            found = in_order if sorted(found.values()) == [*range(len(found))] else None
        if isinstance(found, list | tuple) and found and all(isinstance(each, str) for each in found):
            return tuple(found)
    return None


@dataclass(frozen=True)
class Fitted:
    """Tensors under the network's names.

    Attributes:
        state: of the network; without a head where the file has none.
        prefix: what stood before the names in the file.
    """

    state: dict[str, Tensor]
    prefix: str = ""


def without_prefix(module: nn.Module, head: Head, state: Mapping[str, Tensor], key: str) -> Fitted:
    """The tensors that belong to a network, whatever it was wrapped into.

    Args:
        module: the network that they are meant for.
        head: where its head is; a file may lack it, or have another one there.
        state: as read from a file.
        key: config path of the weights, for errors.

    Returns:
        Those under the one prefix at which the whole trunk is; all of them, as they are, if it is nowhere.

    Raises:
        BundleError: the file holds several such networks.
    """
    trunk = [name for name in module.state_dict() if not in_head(name, head)]
    ends = [name.removesuffix(trunk[0]) for name in state if name.endswith(trunk[0])] if trunk else []
    prefixes = [start for start in ends if not start or start.endswith(".")]
    whole = [start for start in prefixes if all(start + name in state for name in trunk)]
    meant = [""] if "" in whole else [start for start in whole if start.endswith(MEANT)] or whole
    if len(meant) > 1:
        raise BundleError(
            f"the file holds {len(meant)} such networks, under {', '.join(meant)}; "
            "save the one that is meant alone",
            key=key,
        )
    if not meant or not meant[0]:
        return Fitted(dict(state))
    start = meant[0]
    inside = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
    return Fitted(inside, start)


def with_fresh_head(module: nn.Module, head: Head, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The state of a network whose file has a trunk only.

    Args:
        module: the network, freshly initialised.
        head: where its head is.
        state: the tensors of the file under the network's names.

    Returns:
        The file's trunk and the module's own head; what else the file has in the head's place (a projection
        that self-supervised training throws away) is left out. None if the file has a head.
    """
    own = {name: value for name, value in module.state_dict().items() if in_head(name, head)}
    if not own or any(name in state for name in own):
        return None
    return {**{name: value for name, value in state.items() if not in_head(name, head)}, **own}


def in_head(name: str, head: Head) -> bool:
    """Whether a tensor lies in a network's head.

    Args:
        name: of the tensor.
        head: where that is.
    """
    return any(name == path or name.startswith(f"{path}.") for path in head.paths)


def _without_advice(error: Exception) -> str:
    """The first line of an error; torch's own goes on to recommend that code in the file be run."""
    if isinstance(error, pickle.UnpicklingError):
        return "something in it is neither a tensor nor plain data"
    return next(iter(str(error).splitlines()), type(error).__name__)
