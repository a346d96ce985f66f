"""The data sets of ``torchvision.datasets``, from files on disk."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.spec.image_data import TorchvisionData
from rl_transfer.supervised.data import LabelledSet, OpenedData
from rl_transfer.wording import did_you_mean

LABELS = ("targets", "labels", "_labels")
TEST_SPLITS = ("test", "val", "valid")


def open_torchvision(data: TorchvisionData, key: str = "data") -> OpenedData:
    """Open a torchvision data set; its own test part is used where the class knows one.

    Args:
        data: names class, root and arguments.
        key: config path of it, for errors.

    Returns:
        The images, none of them decoded yet.

    Raises:
        ConfigError: there is no such class, it refuses its arguments, or its files are absent.
        MissingExtraError: torchvision is not installed.
    """
    try:
        datasets = importlib.import_module("torchvision.datasets")
    except ImportError:
        raise MissingExtraError(
            "this data set needs torchvision; install it with: pip install 'rl-transfer[image]'", key=key
        ) from None
    known = [
        name
        for name in datasets.__all__
        if inspect.isclass(getattr(datasets, name)) and hasattr(getattr(datasets, name), "__getitem__")
    ]
    if data.dataset not in known:
        raise ConfigError(
            f"torchvision.datasets has no {data.dataset!r}.{did_you_mean(data.dataset, known)} "
            f"It has {', '.join(known)}",
            key=f"{key}.dataset",
        )
    builder = getattr(datasets, data.dataset)
    arguments = inspect.signature(builder).parameters
    if "train" in arguments and "train" not in data.kwargs:
        pool, test = (_build(builder, data, key, train=train) for train in (True, False))
    elif "split" in arguments and "split" not in data.kwargs:
        pool, test = _build(builder, data, key, split="train"), _test_split(builder, data, key)
    else:
        pool, test = _build(builder, data, key), None
    labels = _labels(pool)
    classes = _class_names(pool, labels)
    return OpenedData(
        classes,
        LabelledSet(labels, ItemLoader(pool)),
        None if test is None else LabelledSet(_labels(test), ItemLoader(test)),
    )


@dataclass(frozen=True)
class ItemLoader:
    """Images of a torchvision data set."""

    dataset: Any

    def __call__(self, index: int) -> Image.Image:
        """Image ``index``.

        Raises:
            ConfigError: the data set gives something else than images.
        """
        image = self.dataset[index][0]
        if not isinstance(image, Image.Image):
            raise ConfigError(
                f"{type(self.dataset).__name__} gives a {type(image).__name__}, not an image; it is no data "
                "set for classification",
                key="data.dataset",
            )
        return image


def _build(builder: Any, data: TorchvisionData, key: str, **part: Any) -> Any:
    arguments: dict[str, Any] = {**data.kwargs, **part}
    parameters = inspect.signature(builder).parameters
    if "root" in parameters:
        if data.root is None:
            raise ConfigError(f"{data.dataset} needs root, the folder of its files", key=f"{key}.root")
        arguments["root"] = str(Path(data.root).expanduser())
    if "image_size" in parameters:  # FakeData's size, a list in YAML and a tuple there
        arguments = {n: tuple(v) if isinstance(v, list) else v for n, v in arguments.items()}
    if arguments.get("download"):
        raise ConfigError(
            f"nothing is downloaded while a run is planned; fetch {data.dataset} once into its root",
            key=f"{key}.kwargs.download",
        )
    try:
        return builder(**arguments)
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            f"the files of {data.dataset} are not in {data.root}: {str(error).splitlines()[0]} Put them "
            f"there, for example with torchvision.datasets.{data.dataset}({str(data.root)!r}, download=True)",
            key=f"{key}.root",
        ) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{data.dataset} refuses its arguments: {error}", key=f"{key}.kwargs") from None


def _test_split(builder: Any, data: TorchvisionData, key: str) -> Any:
    refusals = []
    for split in TEST_SPLITS:
        try:
            return _build(builder, data, key, split=split)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def _labels(dataset: Any) -> NDArray[np.int64]:
    for name in LABELS:
        found = getattr(dataset, name, None)
        if found is not None and len(found) == len(dataset):
            return np.asarray(found, dtype=np.int64)
    return np.array([int(dataset[index][1]) for index in range(len(dataset))], dtype=np.int64)


def _class_names(dataset: Any, labels: NDArray[np.int64]) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None)
    if names is not None and not isinstance(names, int) and len(names) > labels.max(initial=0):
        plain = [name if isinstance(name, str) else ", ".join(name) for name in names]
        return tuple(map(str, plain))
    return tuple(map(str, range(int(labels.max(initial=0)) + 1)))
