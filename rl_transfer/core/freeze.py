"""Freezing that holds: parameters, buffers, running statistics and dropout mode."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial

from torch import Tensor, nn

from rl_transfer.core.digest import digest_tensors, tensors_of
from rl_transfer.core.parts import Layer, PartMap
from rl_transfer.core.strategy import NormMode
from rl_transfer.errors import FrozenTensorMoved, TransferError
from rl_transfer.wording import listing

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class FrozenParts:
    """What :func:`freeze` froze, with the evidence to check it.

    Attributes:
        selectors: as given to :func:`freeze`.
        norm: as given to :func:`freeze`.
    """

    def __init__(
        self, model: nn.Module, part_map: PartMap, selectors: tuple[str, ...], norm: NormMode, key: str | None
    ) -> None:
        self.selectors = selectors
        self.norm = norm
        self._model = model
        self._map = part_map
        part_map.check(model)
        self._layers = set(part_map.layers(selectors, key=key))
        self._held: list[nn.Module] = []
        live = tensors_of(model)
        names = part_map.select(selectors)
        self._switched = {name for name in names if live[name].requires_grad}
        _refuse_if_nothing_is_left(part_map, live, self._switched, selectors, key)
        for name in self._switched:
            live[name].requires_grad_(False)
            live[name].grad = None
        self._hold()
        adapting = self._adapting_statistics() if norm == "adapt" else set()
        self._digests = {name: _digest(name, live) for name in names if name not in adapting}

    @property
    def part_map(self) -> PartMap:
        """The part map that the selectors speak of."""
        return self._map

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that are frozen now, in part order."""
        return tuple(layer for part in self._map for layer in part.layers if layer in self._layers)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Canonical names of the tensors that are frozen now (adapting statistics excluded)."""
        return tuple(self._digests)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts in which something is frozen now."""
        return tuple(part.name for part in self._map if self._layers & set(part.layers))

    @property
    def digest_before(self) -> str:
        """Digest of what is still frozen, as it was when it was frozen."""
        return _combine(self._digests)

    def digest_now(self) -> str:
        """Digest of what is still frozen, as it is now.

        Returns:
            SHA-256 (hex); equal to ``digest_before`` as long as nothing moved.
        """
        live = tensors_of(self._model)
        return _combine({name: _digest(name, live) for name in self._digests})

    def verify(self) -> None:
        """Recompute the digests of everything that is still frozen.

        Raises:
            FrozenTensorMoved: naming every tensor that changed or vanished.
        """
        live = tensors_of(self._model)
        moved = [name for name, before in self._digests.items() if _digest(name, live) != before]
        if moved:
            raise FrozenTensorMoved(
                f"{len(moved)} frozen tensor(s) changed: {listing(moved)}. Something wrote to them "
                "past the optimizer (a target-network update, a load, an in-place operation), "
                "or their module left evaluation mode."
            )

    def unfreeze(self, selectors: Iterable[str] | None = None, *, key: str | None = None) -> tuple[str, ...]:
        """Make parts trainable again, everything by default; what is not frozen stays as it is.

        Parameters that were not trainable before the freeze stay so. Modules that are no longer
        wholly frozen return to the model's training mode.

        Args:
            selectors: parts, layers or groups to thaw; None for all.
            key: config path of the selectors, for errors.

        Returns:
            The names of the tensors that were thawed.
        """
        thawed = self._layers & set(self._map.layers(("all",) if selectors is None else selectors, key=key))
        self._layers -= thawed
        live = tensors_of(self._model)
        names = tuple(
            name for layer in self._map.layers(("all",)) if layer in thawed for name in layer.tensors
        )
        for name in names:
            if name in self._switched:
                _live(name, live).requires_grad_(True)
            self._digests.pop(name, None)
        self._hold()
        return names

    def _hold(self) -> None:
        """Hold exactly the modules that lie wholly inside frozen layers in evaluation mode."""
        for module in self._held:
            module.__dict__.pop("train", None)
            module.training = self._model.training
        wholly = _wholly_frozen(self._model, self._map, self._layers, self.norm)
        self._held = [module for module in wholly if "train" not in module.__dict__]
        for module in self._held:
            module.training = False
            module.__dict__["train"] = partial(_stay_in_evaluation_mode, module)

    def _adapting_statistics(self) -> set[str]:
        return {
            name for layer in self._layers for name in layer.tensors if name.rpartition(".")[2] in _STATISTICS
        }


def freeze(
    model: nn.Module,
    part_map: PartMap,
    selectors: Iterable[str],
    *,
    norm: NormMode = "frozen",
    key: str | None = None,
) -> FrozenParts:
    """Hold parts of ``model`` fixed, bit for bit, until they are unfrozen.

    Parameters stop requiring gradients and lose the gradient that they have, so optimizers
    that hold them skip them: momentum and weight decay included, before or after training has
    begun. Modules wholly inside the frozen layers stay in evaluation mode through every later
    ``model.train()``: running statistics are fixed and dropout is off. The state dict, the
    module tree and the optimizer keep their shape; ``copy.deepcopy`` copies the freeze too.

    Args:
        model: changed in place.
        part_map: of this model.
        selectors: what to freeze; nothing is frozen for an empty sequence.
        norm: ``adapt`` lets the running statistics of frozen normalisation layers follow the
            data (Li et al. 2017, AdaBN); their affine parameters are frozen all the same.
        key: config path of ``selectors``, for errors.

    Raises:
        TransferError: a selector matches nothing, or no trainable parameter would be left
            outside the auxiliary parts. The model is then untouched.
    """
    return FrozenParts(model, part_map, tuple(selectors), norm, key)


def _stay_in_evaluation_mode(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stands in for ``module.train`` while the module is frozen."""
    return module


def _refuse_if_nothing_is_left(
    part_map: PartMap,
    live: Mapping[str, Tensor],
    frozen: set[str],
    selectors: tuple[str, ...],
    key: str | None,
) -> None:
    trained = [part for part in part_map if part.role != "auxiliary"]
    left = [n for part in trained for n in part.tensor_names if live[n].requires_grad and n not in frozen]
    if selectors and not left:
        raise TransferError(
            f"freezing {listing(selectors)} leaves nothing to train; "
            f"keep at least one of {listing([part.name for part in trained if part.layers])} trainable",
            key=key,
        )


def _wholly_frozen(
    model: nn.Module, part_map: PartMap, layers: set[Layer], norm: NormMode
) -> list[nn.Module]:
    """Every module whose tensors and tensorless leaves are all frozen."""
    names = {name for layer in layers for name in layer.tensors}
    every_name = {alias for name in names for alias in part_map.tensors[name].names}
    followers = {path for layer in layers for path in layer.followers}
    open_tensors = [name for name in tensors_of(model) if name not in every_name]
    modules = dict(model.named_modules())
    loose = [
        path
        for path, module in modules.items()
        if path not in followers and not list(module.children()) and not module.state_dict()
    ]
    adapting = [
        path for path, module in modules.items() if norm == "adapt" and hasattr(module, "running_mean")
    ]
    blocked: set[str] = set()
    for path in (*(name.rpartition(".")[0] for name in open_tensors), *loose, *adapting):
        blocked.add(path)
        while path:
            path = path.rpartition(".")[0]
            blocked.add(path)
    return [module for path, module in modules.items() if path not in blocked]


def _live(name: str, live: Mapping[str, Tensor]) -> Tensor:
    """The tensor behind a name from before any parametrization of its module."""
    if name in live:
        return live[name]
    path, _, tensor = name.rpartition(".")
    return live[f"{path}.parametrizations.{tensor}.original"]


def _digest(name: str, live: Mapping[str, Tensor]) -> str:
    try:
        return digest_tensors({name: _live(name, live)})
    except KeyError:
        return "missing"


def _combine(digests: Mapping[str, str]) -> str:
    lines = (f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
