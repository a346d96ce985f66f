"""What chosen layers of a network give on a batch, as rows of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from rl_transfer.core._layout import Layer
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing


def layer_outputs(
    model: nn.Module, layers: Mapping[str, Layer], forward: Callable[[], object]
) -> dict[str, Tensor]:
    """Run a network once and keep what some of its layers give, behind their activations.

    The network runs in evaluation mode: no dropout, normalisation by running statistics, which do not move.
    A layer that runs more than once gives its last output. Maps are averaged over their places, tokens over
    their positions.

    Args:
        model: afterwards in the modes that it was in.
        layers: name → layer.
        forward: runs the model on a batch.

    Returns:
        Name → ``float[row, feature]``, with gradient where the caller asks for one.

    Raises:
        TransferError: a layer does not run on its own, so that nobody sees its output.
    """
    found: dict[str, Tensor] = {}
    with ExitStack() as stack:
        for name, layer in layers.items():
            last = isinstance(model.get_submodule(layer.path), nn.Linear | nn.LayerNorm)
            for path in (layer.path, *layer.followers):
                hook = _keeper(found, name, last)
                stack.callback(model.get_submodule(path).register_forward_hook(hook).remove)
        stack.enter_context(evaluating(model))
        forward()
    missing = [name for name in layers if name not in found]
    if missing:
        raise TransferError(
            f"the output of {listing(missing)} cannot be seen: the network computes it inside another "
            "module; name another layer or a whole part"
        )
    return {name: found[name] for name in layers}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A network in evaluation mode; afterwards every module is in the mode that it was in.

    Args:
        model: any network.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.train(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def as_rows(output: Tensor, *, features_last: bool) -> Tensor:
    """Features of any layout as rows.

    Args:
        output: ``[row, …]``.
        features_last: whether features are on the last axis of more than two; else on the second.

    Returns:
        ``float[row, feature]``, averaged over all other axes.
    """
    if output.ndim < 3:
        return output.flatten(1) if output.ndim == 2 else output[:, None]
    moved = output if features_last else output.movedim(1, -1)
    return moved.flatten(1, -2).mean(dim=1)


def _keeper(found: dict[str, Tensor], name: str, last: bool) -> Callable[..., None]:
    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            found[name] = as_rows(output, features_last=last)

    return keep
