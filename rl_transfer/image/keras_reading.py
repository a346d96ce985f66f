"""Files of Keras: their tensors brought into a network, all of the one and all of the other."""

from __future__ import annotations

import importlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from operator import itemgetter
from pathlib import Path
from typing import IO

from torch import Tensor

from rl_transfer import bounded
from rl_transfer.core.limits import MOST_TENSOR_BYTES
from rl_transfer.errors import BundleError
from rl_transfer.image.keras_graph import KerasGraph, every_layer
from rl_transfer.image.keras_legacy import plain_name
from rl_transfer.image.keras_library import KerasLayer, Variable, on_device_of, stateless
from rl_transfer.spec.base import Json
from rl_transfer.spec.keras_files import file_format, read_architecture
from rl_transfer.wording import listing

Fill = Callable[[Callable[[Variable], Tensor | None]], list[str]]
_LEEWAY = 2**20
"""Numbers that a file may hold beside the tensors of a model: counters and states of generators."""


def read_file(graph: KerasGraph, path: Path, key: str, fill: Fill) -> None:
    """Have Keras read a file into a network, whatever it is called; all of the one and all of the other.

    Args:
        graph: of the network.
        path: a ``.keras`` file, a whole model in HDF5, or weights alone.
        key: config path of it, for errors.
        fill: puts what a function knows of each variable into the network; gives the paths of the others.

    Raises:
        BundleError: it cannot be read, or does not fit.
    """
    try:
        bounded.regular_size(path, MOST_TENSOR_BYTES)
        ending, count = _tensors_in(path, key, graph.filed.weights)
        with tempfile.TemporaryDirectory() as folder, stateless() as current, on_device_of(None):
            link = Path(folder, f"model{ending}")
            link.symlink_to(path.resolve())
            if ending == ".h5":
                _order_as_in(path, graph)
            if ending == ".keras":
                _refuse_another_order(path, graph, key)
            graph.filed.load_weights(str(link))
            lacking = fill(current)
    except Exception as error:  # noqa: BLE001 - what a library makes of damaged files
        raise _unfit(path, " ".join(str(error).split())[:300] or type(error).__name__, key) from None
    graph.filed.trainable = True
    with stateless():
        added = {each.path: each.value for each in graph.layers[graph.head].weights} if graph.added else {}
        fill(lambda variable: added.get(variable.path))
    lacking = [each for each in lacking if each not in added]
    if lacking:
        raise _unfit(path, f"it lacks {listing(lacking, 3)}", key)
    known = sum("float" in each.dtype for each in graph.filed.weights)
    if count > known:
        raise _unfit(path, f"it holds {count} tensors, the model has {known}", key)


def _unfit(path: Path, says: str, key: str) -> BundleError:
    return BundleError(
        f"{path.name} does not fit the model: {says}. Give the architecture that the file was made with",
        key=key,
    )


def _tensors_in(path: Path, key: str, weights: Sequence[Variable]) -> tuple[str, int]:
    """The ending by which Keras knows the layout of a file, and how many tensors (older: 0, Keras counts).

    Raises:
        ValueError: more numbers than the model's: a few KiB can hold a tensor that takes GiB once it is read.
    """
    h5py = importlib.import_module("h5py")
    names: list[str] = []
    total = 0

    def note(name: str, entry: object) -> None:
        nonlocal total
        if isinstance(entry, h5py.Dataset) and name.partition("/")[0] not in unread:
            if entry.is_virtual or entry.external:
                raise ValueError(f"{name} lies in another file")
            total += entry.size
            if entry.dtype.kind == "f":
                names.append(name)

    def elsewhere(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else name

    with ExitStack() as stack:
        stream: Path | IO[bytes] = path
        archived = file_format(path, key) == "archive"
        if archived:
            archive = stack.enter_context(zipfile.ZipFile(path))
            stream = stack.enter_context(archive.open("model.weights.h5"))
        file = stack.enter_context(h5py.File(stream, "r"))
        older = not archived and ("layer_names" in file.attrs or "model_weights" in file)
        unread = ("optimizer_weights",) if older else ("optimizer", "metrics", "loss")
        linked = file.visititems_links(elsewhere)
        if linked is not None:
            raise ValueError(f"{linked} is a link to somewhere else")
        file.visititems(note)
    most = sum(prod(each.shape) for each in weights)
    if total > most + _LEEWAY:
        raise ValueError(f"it holds {total:,} numbers, the model has {most:,}")
    return (".h5", 0) if older else (".keras" if archived else ".weights.h5", len(names))


def _refuse_another_order(path: Path, graph: KerasGraph, key: str) -> None:
    """Such a file numbers the layers of a class in the order of its architecture, and Keras reads by number.

    Raises:
        ValueError: the model has the same layers in another order, so that tensors of one shape would change
            places unseen.
    """
    built = [
        (type(each).__name__, plain_name(each.name)) for each in every_layer(graph.filed) if each.weights
    ]
    written = [each for each in _filed_layers(read_architecture(path, key).get("config")) if each in built]
    by_class = [sorted(each, key=itemgetter(0)) for each in (written, built)]
    if len(written) == len(built) and by_class[0] != by_class[1]:
        raise ValueError("its layers come in another order than the model's; save the whole model as .h5")


def _filed_layers(config: Json) -> Iterator[tuple[str, str]]:
    """Class and name of layers in an architecture, as they are written, inner models before their own."""
    layers = config.get("layers") if isinstance(config, dict) else None
    for each in layers if isinstance(layers, list) else []:
        if isinstance(each, dict):
            inner = each.get("config")
            name = plain_name(str(inner.get("name") if isinstance(inner, dict) else None))
            yield str(each.get("class_name")), name
            yield from _filed_layers(inner)


def _order_as_in(path: Path, graph: KerasGraph) -> None:
    """Make layers trainable, or not, as they were when an older file was written.

    Such a file numbers the tensors of an inner model, those that were trained first: under other flags
    tensors of one shape would change places unseen. The architecture says the flags; a file of weights alone
    may have others.

    Raises:
        ValueError: the order is another one, of outer layers or of tensors.
    """
    layers = list(every_layer(graph.filed))
    named = _names_in(path)
    ours, theirs = (
        [plain_name(each.name) for each in graph.filed.layers if each.weights],
        [*map(plain_name, named)],
    )
    if ours != theirs and sorted(ours) == sorted(theirs):
        raise ValueError("its layers come in another order than the model's; save the whole model as .keras")
    written = [*named.values()]
    candidates = (graph.trained, [True] * len(layers), [False] * len(layers))
    orders = [_order_under(flags, layers, graph) for flags in candidates]
    if [len(each) for each in orders[0]] != [len(each) for each in written]:
        return  # Keras says what does not fit
    for flags, order in zip(candidates, orders, strict=True):
        if all(map(_may_be, order, written)):
            _order_under(flags, layers, graph)
            return
    raise ValueError(
        "its tensors come in an order that is neither that of the architecture's trainable layers, nor that "
        "of all, nor of none, or have the names of other layers; save the whole model as .keras"
    )


def _order_under(flags: Sequence[bool], layers: Sequence[KerasLayer], graph: KerasGraph) -> list[list[str]]:
    """The paths of tensors, by outer layer, as an older file has them where these layers are trainable."""
    for layer, flag in zip(layers, flags, strict=True):
        layer.trainable = flag
    return [
        [each.path for each in (*layer.trainable_weights, *layer.non_trainable_weights)]
        for layer in graph.filed.layers if layer.weights
    ]  # fmt: skip


def _may_be(known: Sequence[str], written: Sequence[str]) -> bool:
    """Whether tensors may be the same: by kind, and those of inner models by the names of their layers.

    Args:
        known: paths of the model's.
        written: paths in the file; names may have those of outer models before them.
    """
    ours, theirs = [[_layer_and_kind(name) for name in names] for names in (known, written)]
    if [kind for _, kind in ours] != [kind for _, kind in theirs]:
        return False
    if len({layer for layer, _ in ours}) == 1:
        return True
    return all(f"_{other}".endswith(f"_{layer}") for (layer, _), (other, _) in zip(ours, theirs, strict=True))


def _layer_and_kind(name: str) -> tuple[str, str]:
    """The kind is what every version of Keras calls the tensors of a normalisation."""
    above, _, kind = name.partition(":")[0].rpartition("/")
    statistical = kind in ("gamma", "beta", "moving_mean", "moving_variance")
    return plain_name(above), kind if statistical else ""


def _names_in(path: Path) -> dict[str, list[str]]:
    """The layers of an older file that have tensors, in their order, with the names of these."""
    h5py = importlib.import_module("h5py")
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        named = {
            name: _listed(group[name].attrs, "weight_names") for name in _listed(group.attrs, "layer_names")
        }
    return {name: each for name, each in named.items() if each}


def _listed(attributes: Mapping[str, Iterable[bytes | str]], name: str) -> list[str]:
    """A list of texts in an attribute, or in several where it was too long for one."""
    parts = [name] if name in attributes else [f"{name}{number}" for number in range(len(attributes))]
    found = [each for part in parts if part in attributes for each in attributes[part]]
    return [each.decode() if isinstance(each, bytes) else str(each) for each in found]
