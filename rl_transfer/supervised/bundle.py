"""Bundles of classifiers: writing one, and building the network again from data alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from rl_transfer.core import described_bundle, save_bundle
from rl_transfer.core.limits import no_larger_than
from rl_transfer.errors import BundleError
from rl_transfer.frame import bundle_folder
from rl_transfer.hub import SCHEME, fetch_bundle
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.supervised.classifier import Classifier, Network
from rl_transfer.supervised.kind import DataKind
from rl_transfer.wording import shortened

WEIGHTS_HINT = (
    "Weights from a file or a library are named in the config of `rl-transfer train`, under the key weights"
)


def place_of(argument: str) -> Path:
    """Where a bundle lies that somebody names; one on the Hugging Face Hub is fetched.

    Args:
        argument: a path, an address of a run, or ``hf://user/repository``.

    Returns:
        A path that may or may not exist.

    Raises:
        BundleError: the repository has no bundle, or it cannot be had.
        MissingExtraError: huggingface_hub is needed and not installed.
    """
    return fetch_bundle(argument) if argument.startswith(SCHEME) else Path(argument)


def save_network(
    kind: DataKind,
    folder: Path,
    state: Mapping[str, Tensor],
    classifier: Classifier,
    model: Frozen,
    extra: Mapping[str, Json],
) -> None:
    """Write the bundle of a classifier.

    Args:
        kind: of its data.
        folder: must not exist.
        state: its tensors.
        classifier: tells head and preprocessing.
        model: its architecture.
        extra: ``classes``, ``data`` and further metadata (score, freeze plan …).

    Raises:
        BundleError: the folder exists or cannot be written, or a tensor is not finite.
    """
    metadata: dict[str, Json] = {
        "kind": kind.name,
        "model": model.plain(),
        "head": [*classifier.heads],
        "num_classes": classifier.outputs,
        "preprocessing": classifier.preprocessing.to_json(),
        "versions": {**kind.versions()},
        **extra,
    }
    save_bundle(folder, state, metadata, kind="model")


def load_network(kind: DataKind, path: Path) -> Network:
    """Build the classifier in a bundle; nothing is unpickled and no code of the bundle is run.

    Args:
        kind: of its data.
        path: a bundle folder, a run folder, or an output folder with one run.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        BundleError: it is missing, damaged, or no classifier of this kind.
    """
    stored = described_bundle(bundle_folder(path, hint=WEIGHTS_HINT))
    metadata = stored.metadata
    if metadata.get("kind") != kind.name:
        what = f"a bundle of kind {metadata['kind']!r}" if "kind" in metadata else "the bundle of a policy"
        raise BundleError(f"{path} is {what}, not {kind.classifier}")
    try:
        described = {"kind": kind.name, "model": metadata["model"], "data": metadata.get("data")}
        run = kind.run_type.model_validate_json(json.dumps(described))
        count = int(metadata["num_classes"])
        names = _class_names(metadata["classes"], count)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"{path}: bundle.json does not describe {kind.classifier}: {error}") from None
    if run.model is None:
        raise BundleError(f"{path}: bundle.json does not describe {kind.classifier}: it names no model")
    preprocessing = kind.read_preprocessing(metadata.get("preprocessing", {}))
    model = run.model

    def build() -> Classifier:
        return kind.build_classifier(model, count, seed=0, preprocessing=preprocessing)

    try:
        stored = stored.verify(lambda: build().module)
        with no_larger_than(stored.shapes):
            classifier = build()
        stored.fill(classifier.module)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise BundleError(f"{path}: the tensors do not fit the described network: {reason}") from None
    classifier.module.eval()
    return Network(classifier, run.model, names, run.data, metadata, stored.digest)


def _class_names(found: Json, count: int) -> tuple[str, ...] | None:
    if found is None:
        return None
    names = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    if not isinstance(found, list) or not len(names) == len(found) == count:
        raise ValueError(f"classes is {shortened(str(found))}; expected null, or a list of {count} texts")
    return tuple(names)
