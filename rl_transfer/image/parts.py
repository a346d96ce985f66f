"""The named parts of an image classifier: stem, stages in order, neck, head.

    stem      what stands before the first stage (convolution, patch embedding, class token …)
    stage1 …  the blocks that carry the network, in the order of registration
    neck      what stands after the last stage and before the head (final norm, last convolution)
    head      the classifier, or classifiers

The stages are the children of the module that branches into several blocks, as far down as
needed: ``layer1`` … of a ResNet, ``features.1`` … of a MobileNet, ``encoder.layers.…`` of a
vision transformer. A block is a module with at least two weight layers; a lone layer between
two blocks (a transition, a patch merging) belongs to the stage after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from rl_transfer.core import PartMap, PartRule
from rl_transfer.core.digest import tensors_of
from rl_transfer.image.heads import Head

STEM_NAMES = ("stem", "conv_stem", "patch_embed")


@dataclass(frozen=True)
class _Piece:
    """A module or bare tensor of the trunk, by path."""

    path: str
    module: nn.Module | None
    is_block: bool


def image_parts(model: nn.Module, head: Head) -> PartMap:
    """The part map of a classifier.

    Args:
        model: any classifier.
        head: as :func:`rl_transfer.image.heads.find_head` found it.

    Returns:
        Every tensor in exactly one part.
    """
    pieces = _branches(model, head)
    blocks = [index for index, piece in enumerate(pieces) if piece.is_block]
    first, last = (blocks[0], blocks[-1]) if blocks else (len(pieces), len(pieces))
    rules = {"stem": PartRule(tuple(piece.path for piece in pieces[:first]), "trunk")}
    waiting: list[str] = []
    for piece in pieces[first : last + 1]:
        waiting.append(piece.path)
        if piece.is_block:
            rules[f"stage{len(rules)}"] = PartRule(tuple(waiting), "trunk")
            waiting = []
    rules["neck"] = PartRule(tuple(piece.path for piece in pieces[last + 1 :]), "trunk")
    rules["head"] = PartRule(head.paths, "head")
    return PartMap.build(model, rules)


def _branches(model: nn.Module, head: Head) -> list[_Piece]:
    """The pieces of the trunk, split until more than one of them is a block."""
    pieces = _children(model, "", head)
    while True:
        blocks = [index for index, piece in enumerate(pieces) if piece.is_block]
        if len(blocks) != 1:
            return pieces
        lone = pieces[blocks[0]]
        if lone.module is None:
            return pieces
        inner = _children(lone.module, lone.path, head)
        if not any(piece.is_block for piece in inner):
            return pieces
        pieces[blocks[0] : blocks[0] + 1] = inner


def _children(module: nn.Module, path: str, head: Head) -> list[_Piece]:
    """The module's own tensors and its children that hold tensors outside the head, in order."""
    prefix = f"{path}." if path else ""
    pieces = [_Piece(prefix + name, None, False) for name in tensors_of(module) if "." not in name]
    for name, child in module.named_children():
        child_path = prefix + name
        if child_path in head.paths:
            continue
        outside = [tensor for tensor in tensors_of(child) if not _in_head(f"{child_path}.{tensor}", head)]
        if outside:
            is_block = name not in STEM_NAMES and _weight_layers(child, child_path, head) > 1
            pieces.append(_Piece(child_path, child, is_block))
    return pieces


def _weight_layers(module: nn.Module, path: str, head: Head) -> int:
    """Number of sub-modules outside the head that own a weight matrix or kernel."""
    return sum(
        any(parameter.ndim > 1 for parameter in inner.parameters(recurse=False))
        for name, inner in module.named_modules(prefix=path)
        if not _in_head(name, head)
    )


def _in_head(path: str, head: Head) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in head.paths)
