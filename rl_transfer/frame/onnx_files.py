"""Networks as ONNX graphs: traced by torch, without a trace of this machine, and run again to be compared."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.errors import BundleError, MissingExtraError

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto

_UNEXPORTABLE = (
    RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, NotImplementedError,
)  # fmt: skip


def onnx_libraries() -> list[ModuleType]:
    """onnx, onnxscript and onnxruntime.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    try:
        return [importlib.import_module(name) for name in ("onnx", "onnxscript", "onnxruntime")]
    except ImportError:
        raise MissingExtraError(
            "ONNX needs onnx, onnxscript and onnxruntime: pip install 'rl-transfer[onnx]'"
        ) from None


def check_destination(destination: Path) -> None:
    """Refuse what no graph may be written to, before anything is computed.

    Args:
        destination: the file that is to be.

    Raises:
        MissingExtraError: a library is not installed.
        BundleError: it does not end in ``.onnx``, or exists.
    """
    onnx_libraries()
    if destination.suffix != ".onnx":
        raise BundleError(f"{destination} must end in .onnx")
    if destination.exists() or destination.is_symlink():
        raise BundleError(f"{destination} exists already and is not overwritten; choose another name")


def graph_of(
    module: nn.Module, example: Mapping[str, Tensor], output: str, told: Mapping[str, str], what: str
) -> bytes:
    """A network as the content of an ``.onnx`` file.

    Args:
        module: its ``forward(*inputs)`` takes batches in the order of ``example`` to one tensor.
        example: name of an input → a batch of it, [n, …]; n is free in the graph.
        output: name of the result.
        told: key → value of the file's metadata.
        what: the network for errors: ``this policy (PPO, MlpPolicy)``.

    Returns:
        The same bytes for the same network; no path of this machine is among them.

    Raises:
        BundleError: torch cannot trace it.
    """
    try:
        model = _traced(module, example, output)
    except _UNEXPORTABLE as error:
        cause = error.__cause__ or error  # what the exporter says itself is where to read on
        reason = " ".join(str(cause).split())[:300] or type(cause).__name__
        raise BundleError(f"torch cannot write {what} as an ONNX graph: {reason}") from None
    _strip(model.graph)
    for function in model.functions:
        _strip(function)
    for key, value in told.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def run_graph(content: bytes, inputs: Mapping[str, NDArray[np.generic]], output: str) -> NDArray[np.generic]:
    """What a graph gives in ONNX Runtime on the CPU.

    Args:
        content: of its file.
        inputs: name → array.
        output: name of the result.

    Returns:
        An array.
    """
    *_, runtime = onnx_libraries()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: NDArray[np.generic]
    (found,) = session.run([output], dict(inputs))
    return found


def _traced(module: nn.Module, example: Mapping[str, Tensor], output: str) -> ModelProto:
    rows = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            dynamo=True,
            input_names=[*example],
            output_names=[output],
            dynamic_shapes={"inputs": tuple({0: rows} for _ in example)},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch gave no program")
    found: ModelProto = program.model_proto
    return found


def _strip(graph: GraphProto | FunctionProto) -> None:
    """Remove what tells of this machine: the exporter leaves stack traces with paths at every node."""
    for each in (*graph.node, *graph.value_info, *getattr(graph, "input", ()), *getattr(graph, "output", ())):
        if hasattr(each, "metadata_props"):
            each.ClearField("metadata_props")
        if hasattr(each, "doc_string"):
            each.ClearField("doc_string")
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
