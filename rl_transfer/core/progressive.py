"""Progressive networks (Rusu et al. 2016): a new column beside a frozen source column."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from rl_transfer.errors import TransferError


class ProgressiveTrunk(nn.Module):
    """A trunk of Linear layers with a second, new column that reads the frozen first one.

        h_1   = f(W_1 x)
        h_i   = f(W_i h_{i−1} + lateral_i(s_{i−1})),   i = 2 … n
        output = h_n + lateral_{n+1}(s_n)

    with s the activations of the source column, a frozen copy in evaluation mode whatever
    ``train()`` says. The output has the columns' last width, so a library's own linear heads
    fit: since W(h + U s) = W h + (W U) s, the last line gives them their lateral connection.
    Deviations from Rusu et al. 2016: heads share its factor U, laterals are plain matrices without
    the adapter of its eq. 2, and both columns have the same widths.

    State dict: ``source.*`` (frozen), ``column.*``, ``laterals.*``.

    Args:
        source: Linear layers and modules without tensors (activations, dropout), Linear first.

    Raises:
        TransferError: the source holds other layers with tensors.
    """

    def __init__(self, source: nn.Sequential) -> None:
        super().__init__()
        blocks = _blocks(source)
        widths = [block.linear.out_features for block in blocks]
        inputs = [blocks[0].linear.in_features, *widths[:-1]]
        self.source = nn.ModuleList(copy.deepcopy(block) for block in blocks)
        self.source.requires_grad_(False).eval()
        self.column = nn.ModuleList(
            _Block(
                nn.Linear(inputs[i], widths[i], bias=block.linear.bias is not None), copy.deepcopy(block.then)
            )
            for i, block in enumerate(blocks)
        )
        outputs = [*widths[1:], widths[-1]]
        self.laterals = nn.ModuleList(
            nn.Linear(a, b, bias=False) for a, b in zip(widths, outputs, strict=True)
        )
        self.out_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """``x[batch, in]`` → ``h[batch, out_features]``."""
        hidden, below = x, x
        lateral: Tensor | None = None
        for column, source, connection in zip(self.column, self.source, self.laterals, strict=True):
            hidden = column(hidden, lateral)
            with torch.no_grad():
                below = source(below)
            lateral = connection(below)
        return hidden if lateral is None else hidden + lateral

    def train(self, mode: bool = True) -> ProgressiveTrunk:
        """Training mode for the new column; the source column stays in evaluation mode.

        Args:
            mode: whether the new column trains.

        Returns:
            Itself, as torch's ``train`` does.
        """
        super().train(mode)
        self.source.eval()
        return self


class _Block(nn.Module):
    """A Linear layer and the modules without tensors behind it."""

    def __init__(self, linear: nn.Linear, then: nn.Sequential) -> None:
        super().__init__()
        self.linear = linear
        self.then = then

    def forward(self, x: Tensor, lateral: Tensor | None = None) -> Tensor:
        """``then(linear(x) + lateral)``."""
        summed = self.linear(x)
        activated: Tensor = self.then(summed if lateral is None else summed + lateral)
        return activated


def _blocks(source: nn.Sequential) -> list[_Block]:
    """The source cut before every Linear."""
    blocks: list[_Block] = []
    for path, module in source.named_children():
        if isinstance(module, nn.Linear):
            blocks.append(_Block(module, nn.Sequential()))
        elif blocks and not module.state_dict():
            blocks[-1].then.append(module)
        else:
            raise TransferError(
                f"a progressive column copies Linear layers, each with the activations behind it; "
                f"module {path!r} of the source trunk is a {type(module).__name__}"
            )
    if not blocks:
        raise TransferError("the source trunk has no Linear layer; a progressive column needs one")
    return blocks
