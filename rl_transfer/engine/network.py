"""Dense networks over one flat vector of parameters: forward and backward passes over minibatches.

A network is a directed acyclic graph of dense layers. Node 0 is the observation, node l + 1 the output
of layer l: y = f(x Wᵀ + b), with W of shape [out, in] as in ``torch.nn.Linear``. Layers stand in an order
in which each reads a node before it; several may read the same one, and several are outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rl_transfer.engine.activations import activate, differentiate
from rl_transfer.engine.arrays import Integers, Matrix, Vector
from rl_transfer.engine.compiling import kernel

SOURCE, INPUTS, OUTPUTS, WEIGHT, BIAS, KIND, STATE, NODE, SHARED = range(9)
"""Columns of ``layers``: node that is read, widths, offsets of weight and bias among the parameters, number
of the activation function, one of the states below, offset of the output among a row's values, whether a
moving layer behind this one reads the same node."""

TRAINED, FIXED, CONSTANT = range(3)
"""Trained; not trained, but in the way of gradients or behind trained layers; not trained and behind the
observation or constant layers alone."""

ALL, MOVING, STILL = 0b111, 0b011, 0b100
"""Sets of states: every layer, all but the constant ones, these alone."""


@dataclass(frozen=True)
class DenseLayer:
    """One dense layer.

    Attributes:
        source: node that it reads, 0 for the observation.
        inputs: width of that node.
        outputs: its own width.
        weight: offset of W among the parameters.
        bias: offset of b.
        kind: number of its activation function.
        trained: whether any of its parameters is.
    """

    source: int
    inputs: int
    outputs: int
    weight: int
    bias: int
    kind: int
    trained: bool


def table(layers: Sequence[DenseLayer]) -> Integers:
    """The layers as the compiled functions read them.

    Args:
        layers: in an order in which each reads a node before it.

    Returns:
        ``[layer, column]``.
    """
    rows, offset = [], layers[0].inputs
    constant = [True]
    for layer in layers:
        fixed = not layer.trained
        constant.append(fixed and constant[layer.source])
        state = CONSTANT if constant[-1] else FIXED if fixed else TRAINED
        rows.append(
            [
                layer.source,
                layer.inputs,
                layer.outputs,
                layer.weight,
                layer.bias,
                layer.kind,
                state,
                offset,
                0,
            ]
        )
        offset += layer.outputs
    found = np.array(rows, dtype=np.int64)
    for k, row in enumerate(found):
        behind = found[k + 1 :]
        row[SHARED] = ((behind[:, SOURCE] == row[SOURCE]) & (behind[:, STATE] != CONSTANT)).any()
    return found


def row_size(layers: Integers) -> int:
    """How many numbers the values of one row take, observation included.

    Args:
        layers: ``[layer, column]``.
    """
    return int(layers[-1, NODE] + layers[-1, OUTPUTS])


def gathered(layers: Integers, outputs: Sequence[int]) -> Integers:
    """The nodes that a pass over the moving layers reads but does not compute.

    Args:
        layers: ``[layer, column]``.
        outputs: nodes that are read besides.

    Returns:
        ``[node]``: the observation, if it is read, and constant nodes.
    """
    moving = [row for row in layers if row[STATE] != CONSTANT]
    read = {int(row[SOURCE]) for row in moving} | set(outputs)
    still = [node for node in read if node == 0 or layers[node - 1, STATE] == CONSTANT]
    return np.array(sorted(still), dtype=np.int64)


@dataclass
class Workspace:
    """Memory of passes over at most ``rows`` rows.

    Attributes:
        rows: at most.
        size: of one row's values.
        values: outputs of all nodes, node after node, each ``[row, unit]``.
        before: what went into activation functions, likewise.
        deltas: derivatives with respect to the nodes, likewise.
        spare: of the widest node.
    """

    rows: int
    size: int
    values: Vector = field(init=False)
    before: Vector = field(init=False)
    deltas: Vector = field(init=False)
    spare: Vector = field(init=False)

    def __post_init__(self) -> None:
        for name in ("values", "before", "deltas", "spare"):
            setattr(self, name, np.zeros(self.rows * self.size, dtype=np.float32))


@kernel
def part(flat: Vector, offset: int, rows: int, width: int) -> Matrix:
    """One node's matrix inside a flat workspace.

    Args:
        flat: ``[number]``.
        offset: of the node among a row's values.
        rows: of the pass.
        width: of the node.

    Returns:
        A view, ``[row, unit]``.
    """
    return flat[offset * rows : (offset + width) * rows].reshape(rows, width)


@kernel
def offset_of(layers: Integers, node: int) -> int:
    """Offset of a node among a row's values.

    Args:
        layers: ``[layer, column]``.
        node: 0 for the observation.
    """
    return 0 if node == 0 else layers[node - 1, NODE]


@kernel
def output(layers: Integers, node: int, values: Vector, rows: int) -> Matrix:
    """The values, or derivatives, of a node after a pass.

    Args:
        layers: ``[layer, column]``.
        node: number.
        values: the workspace's values or deltas.
        rows: of the pass.

    Returns:
        A view, ``[row, unit]``.
    """
    width = layers[0, INPUTS] if node == 0 else layers[node - 1, OUTPUTS]
    return part(values, offset_of(layers, node), rows, width)


@kernel
def forward(
    layers: Integers, parameters: Vector, values: Vector, before: Vector, rows: int, which: int
) -> None:
    """Compute the nodes of some layers.

    Args:
        layers: ``[layer, column]``.
        parameters: ``[number]``.
        values: workspace; holds the observations at node 0 and what the layers that are left out gave.
        before: workspace.
        rows: how many.
        which: set of the states whose layers are computed.
    """
    for k in range(layers.shape[0]):
        if not (which >> layers[k, STATE]) & 1:
            continue
        n_in, n_out, offset = layers[k, INPUTS], layers[k, OUTPUTS], layers[k, NODE]
        x = part(values, offset_of(layers, layers[k, SOURCE]), rows, n_in)
        z = part(values, offset, rows, n_out)
        start = layers[k, WEIGHT]
        weight = parameters[start : start + n_in * n_out].reshape(n_out, n_in)
        np.dot(x, weight.T, z)
        start = layers[k, BIAS]
        activate(layers[k, KIND], z, parameters[start : start + n_out], part(before, offset, rows, n_out))


@kernel
def backward(
    layers: Integers,
    parameters: Vector,
    values: Vector,
    before: Vector,
    deltas: Vector,
    spare: Vector,
    gradient: Vector,
    rows: int,
) -> None:
    """Gradients of a loss with respect to the parameters of the layers that are trained.

    Args:
        layers: ``[layer, column]``.
        parameters: ``[number]``.
        values: workspace of the forward pass.
        before: likewise.
        deltas: holds the loss's derivatives at nodes that are outputs, and anything elsewhere; is
            overwritten. No layer reads an output.
        spare: workspace.
        gradient: ``[number]``; entries of trained layers are set, others are left.
        rows: of the forward pass.
    """
    for k in range(layers.shape[0] - 1, -1, -1):
        if layers[k, STATE] == CONSTANT:
            continue
        n_in, n_out, offset = layers[k, INPUTS], layers[k, OUTPUTS], layers[k, NODE]
        source = layers[k, SOURCE]
        x = part(values, offset_of(layers, source), rows, n_in)
        delta = part(deltas, offset, rows, n_out)
        differentiate(
            layers[k, KIND], delta, part(values, offset, rows, n_out), part(before, offset, rows, n_out)
        )
        start = layers[k, WEIGHT]
        if layers[k, STATE] == TRAINED:
            np.dot(delta.T, x, gradient[start : start + n_in * n_out].reshape(n_out, n_in))
            bias = gradient[layers[k, BIAS] : layers[k, BIAS] + n_out]
            bias[:] = delta[0]
            for i in range(1, rows):
                for j in range(n_out):
                    bias[j] += delta[i, j]
        if source > 0 and layers[source - 1, STATE] != CONSTANT:
            weight = parameters[start : start + n_in * n_out].reshape(n_out, n_in)
            below = part(deltas, offset_of(layers, source), rows, n_in)
            if layers[k, SHARED]:
                reached = part(spare, 0, rows, n_in)
                np.dot(delta, weight, reached)
                for i in range(rows):
                    for j in range(n_in):
                        below[i, j] += reached[i, j]
            else:
                np.dot(delta, weight, below)
