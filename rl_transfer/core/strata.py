"""Strata of rows that did about the same, where no two actions are equal: labels of a conditional gap."""

from __future__ import annotations

import torch
from torch import Tensor

from rl_transfer.core._text import shape_text
from rl_transfer.errors import TransferError

HALVINGS = 3
"""Of all rows: 2³ = 8 strata."""
LEAST_ROWS = 20
"""Rows of both sides together below which a stratum is not halved again."""


def action_strata(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Labels for rows with actions of about the same size.

    All rows together are halved at the median of the component that varies most, and so are the halves, three
    times: the cells of a k-d tree (Bentley 1975), which hold about as many rows each. With one component they
    are its octiles. Rows of equal actions are never divided. Conditioning on such strata in place of the
    action is subclassification (Cochran 1968, "The effectiveness of adjustment by subclassification in
    removing bias in observational studies": five classes of one covariate take away nine tenths of its
    effect); what actions differ by within a stratum stays. Strata of pooled rows are the same whichever side
    a row is on, so that a permutation of sides leaves them as they are.

    Args:
        source: ``float[row, component]``.
        target: likewise.

    Returns:
        Labels from 0 up, ``int64[row]`` for either side.

    Raises:
        TransferError: the shapes do not fit, or an action is no number.
    """
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1] or not source.shape[1]:
        raise TransferError(
            "strata are of rows of the same action components; the source's actions have shape "
            f"{shape_text(source.shape)}, the target's {shape_text(target.shape)}"
        )
    rows = torch.cat([source.detach(), target.detach().to(source.device)]).double()
    if not bool(torch.isfinite(rows).all()):
        raise TransferError("an action is no number (NaN or infinite): it belongs to no stratum")
    cells = [torch.arange(len(rows), device=rows.device)]
    for _ in range(HALVINGS):
        cells = [half for cell in cells for half in _halves(rows, cell)]
    labels = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    for label, cell in enumerate(cells):
        labels[cell] = label
    return labels[: len(source)], labels[len(source) :].to(target.device)


def _halves(rows: Tensor, cell: Tensor) -> list[Tensor]:
    """A cell at its median, as evenly as equal values allow; as it is where nothing varies or it is small."""
    if len(cell) < LEAST_ROWS:
        return [cell]
    values = rows[cell]
    values = values[:, values.var(dim=0).argmax()]
    middle = values.median()
    # Of the two places beside the rows that equal the median, the one that divides more evenly.
    below = min((values < middle, values <= middle), key=lambda each: abs(2 * int(each.sum()) - len(cell)))
    return [half for half in (cell[below], cell[~below]) if len(half)]
